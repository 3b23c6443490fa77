"""What this machine does per second: refresh rotations, code exchanges, userinfo, and the ceiling.

README.md says how to read the table. Everything is started here and stopped again: a provider with
its Tarantool, and beside it the bare application that is the ceiling, on the same Tarantool.
"""
