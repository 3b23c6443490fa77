"""What this machine does per second, beside the bare ceiling and beside the servers of others.

README.md says how to read the tables. Everything is started here and stopped again: a provider with
its Tarantool, the bare application that is the ceiling, the peers, and the generator of the load.
"""
