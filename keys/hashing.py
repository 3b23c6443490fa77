"""Small pure functions over bytes: base64url, digests, random identifiers, derived secrets."""

import binascii
import functools
import hashlib
import hmac
import os

# OIDC Core 3.1.3.6: the hash of the algorithm that signs the ID token. The name of EdDSA says none:
# Ed25519 hashes with SHA-512 (RFC 8032 5.1), which the OpenID Connect working group settled on in
# its issue 1125 and relying parties' libraries follow.
_HASH_OF_ALG_SUFFIX = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
_HASH_OF_EDDSA = hashlib.sha512

_TO_BASE64URL = bytes.maketrans(b"+/", b"-_")
_FROM_BASE64URL = bytes.maketrans(b"-_", b"+/")


def b64url(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515 2)."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_BASE64URL).rstrip(b"=").decode()


def b64url_decode(text: str) -> bytes:
    """Decode base64url without padding; raises `ValueError` unless it is the canonical form.

    Canonical means that `b64url` gives the same text again: no padding, no foreign characters,
    no stray bits at the end. Otherwise one value would have several spellings.
    """
    standard = text.encode("ascii").translate(_FROM_BASE64URL)
    data = binascii.a2b_base64(standard + b"=" * (-len(text) % 4))
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
    return b64url(os.urandom(16))


def random_secret() -> str:
    """Return 256 random bits in 43 URL-safe characters: unguessable."""
    return b64url(os.urandom(32))


def derive(secret: bytes, *parts: str) -> bytes:
    """Return 32 bytes that only a holder of `secret` can compute: HMAC-SHA256 over `parts`.

    Each part is preceded by its length, so that ("ab", "c") and ("a", "bc") differ. Callers that
    share a secret begin with a part that names their use.
    """
    mac = _keyed(secret).copy()
    mac.update(b"".join([len(part).to_bytes(4, "big") + part for part in map(str.encode, parts)]))
    return mac.digest()


# To look SHA-256 up and take a key in costs OpenSSL more than a short message does.
@functools.lru_cache(maxsize=64)
def _keyed(secret: bytes) -> hmac.HMAC:
    return hmac.new(secret, digestmod="sha256")
