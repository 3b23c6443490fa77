"""Refresh tokens: the grant's identifier, random or derived bits, and proof that they are ours.

The successor is derived from the token that it replaces, so a repeated request gets the same one.
The proof lets an old token end its grant (it was ours once) while a made-up one ends nothing.
"""

import hmac

from keys.hashing import b64url, b64url_decode, derive

_HALF = 16  # bytes of chance, and as many of proof


def derived(secret: bytes, grant_id: str, *origin: str) -> str:
    """The refresh token of a grant that follows from `origin`, always the same."""
    chance = derive(secret, "chance", grant_id, *origin)[:_HALF]
    return f"{grant_id}.{b64url(chance + _proof(secret, grant_id, chance))}"


def grant_of(secret: bytes, token: str) -> str | None:
    """The grant that a refresh token of ours belongs to; None for anything else."""
    grant_id, _, rest = token.partition(".")
    try:
        bits = b64url_decode(rest)
    except ValueError:
        return None
    if not grant_id.isascii() or len(bits) != 2 * _HALF:
        return None
    expected = _proof(secret, grant_id, bits[:_HALF])
    return grant_id if hmac.compare_digest(expected, bits[_HALF:]) else None


def _proof(secret: bytes, grant_id: str, chance: bytes) -> bytes:
    return derive(secret, "proof", grant_id, b64url(chance))[:_HALF]
