"""A pumping attack beside honest customers, against a real Tarantool and with a simulated clock.

An attacker asks for thousands of messages to numbers that it profits from. What the store decides
is decided here, by the procedures that the server calls; only the time is simulated.
"""
