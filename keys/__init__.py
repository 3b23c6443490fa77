"""Signing keys and server secrets: their life cycle, sealing at rest, signing and verification.

This room is the only one that knows JOSE and the only one that holds key material in the clear.
It must not know what a grant is, nor HTTP: it signs claims that others chose, and proves that a
token is one of ours without judging `exp`, `iss` or `aud`.
"""
