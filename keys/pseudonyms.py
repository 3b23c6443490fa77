"""Identifiers in a disguise of their own for each audience, which only we can see through."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from keys.hashing import b64url, b64url_decode


def disguised(secret: bytes, identifier: str, *context: str) -> str:
    """Return the one disguise of `identifier` in `context`, in base64url.

    By AES-SIV (RFC 5297), which is deterministic and authenticated: another context has a disguise
    that cannot be told to be of the same, and nobody makes one up. `secret` has 32 bytes.
    """
    return b64url(AESSIV(secret).encrypt(identifier.encode(), _associated(context)))


def undisguised(secret: bytes, disguise: str, *context: str) -> str | None:
    """Return the identifier behind what `disguised` gave in the same context, else None."""
    try:
        return AESSIV(secret).decrypt(b64url_decode(disguise), _associated(context)).decode()
    except (InvalidTag, ValueError):
        return None


def _associated(context: tuple[str, ...]) -> list[bytes]:
    return [part.encode() for part in context]
