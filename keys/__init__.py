"""Signing keys and server secrets: their life cycle, sealing at rest, signing and verification.

Owns JOSE, sealing, and all key material: no other room holds any of it in the clear.
It must not know what a grant is, nor HTTP: it signs claims that others chose, and proves that a
token is one of ours without judging `exp`, `iss` or `aud`.
"""
