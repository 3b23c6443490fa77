"""The drill of the security team: keys change under load, and nobody may notice, or everybody must.

A provider is started and stopped here. ../README.md says how to read the result.
"""
