"""Small pure functions over bytes: base64url, digests, random identifiers, derived secrets."""

import base64
import hashlib
import hmac
import secrets

# OIDC Core 3.1.3.6: the hash of the algorithm that signs the ID token. The name of EdDSA says none:
# Ed25519 hashes with SHA-512 (RFC 8032 5.1), which the OpenID Connect working group settled on in
# its issue 1125 and relying parties' libraries follow.
_HASH_OF_ALG_SUFFIX = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
_HASH_OF_EDDSA = hashlib.sha512


def b64url(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Decode base64url without padding; raises `ValueError` unless it is the canonical form.

    Canonical means that `b64url` gives the same text again: no padding, no foreign characters,
    no stray bits at the end. Otherwise one value would have several spellings.
    """
    data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if b64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


def sha256(data: bytes | str) -> bytes:
    """Return the 32 bytes of SHA-256; a text is hashed as UTF-8."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).digest()


def left_half_hash(token: str, alg: str) -> str:
    """Return the `at_hash` or `c_hash` of `token` in an ID token signed with `alg`.

    The left half of the hash that `alg` itself uses, as base64url (OIDC Core 3.1.3.6, 3.3.2.11).
    Raises `ValueError` for an `alg` whose hash is not known.
    """
    new_hash = _HASH_OF_EDDSA if alg == "EdDSA" else _HASH_OF_ALG_SUFFIX.get(alg[-3:])
    if new_hash is None:
        raise ValueError(f"the hash of algorithm {alg!r} is not known")
    digest = new_hash(token.encode("ascii")).digest()
    return b64url(digest[: len(digest) // 2])


def random_id() -> str:
    """Return 128 random bits in 22 URL-safe characters: unique, not necessarily secret."""
    return secrets.token_urlsafe(16)


def random_secret() -> str:
    """Return 256 random bits in 43 URL-safe characters: unguessable."""
    return secrets.token_urlsafe(32)


def derive(secret: bytes, *parts: str) -> bytes:
    """Return 32 bytes that only a holder of `secret` can compute: HMAC-SHA256 over `parts`.

    Each part is preceded by its length, so that ("ab", "c") and ("a", "bc") differ. Callers that
    share a secret begin with a part that names their use.
    """
    message = bytearray()
    for part in parts:
        data = part.encode()
        message += len(data).to_bytes(4, "big") + data
    return hmac.digest(secret, message, "sha256")
