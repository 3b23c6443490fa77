"""The drill of the operators: the store's writer is lost under load, and another node leads.

Three nodes and a provider are started and stopped here. ../README.md says how to read the result.
"""
