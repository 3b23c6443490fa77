"""The store: records, the contract, and its Tarantool implementation.

Owns what a row looks like, the stored procedures (`lua/`), their calls, and the private Tarantool
process.
Must not know the protocol's error codes, HTTP, or what a grant type means.
"""
