"""The protocol: authorization checks, client authentication, grants, tokens, journeys, logout.

Owns what a request means and what may be answered. Must not know HTTP, Starlette or Tarantool:
it receives parameters and a frozen `Provider`, and returns values or raises an `OAuthError`.
"""
