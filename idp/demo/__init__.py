"""The demo market: a small shop that signs people in, written as an app team would write it.

Owns: a relying party on authlib, started by `python -m idp.demo` at another site than the provider.
Must not know: anything of the provider but its issuer; no other room is imported here.
"""
