"""Encryption to a client's key, and decryption with one of ours (RFC 7516, RFC 7518 4 and 5)."""

from collections.abc import Mapping
from typing import Any, Literal, Self

import msgspec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from keys import jwk
from keys.errors import InvalidToken, NoEncryptionKey, UnusableKey
from keys.hashing import b64url_decode
from keys.jwk import Key

KEY_MANAGEMENT: tuple[str, ...] = ("ECDH-ES", "RSA-OAEP-256")
CONTENT_ENCRYPTION: tuple[str, ...] = ("A128CBC-HS256", "A256GCM")
# A signed token of `signing.MAX_TOKEN_CHARACTERS`, in base64url once more, and what stands around.
MAX_ENCRYPTED_CHARACTERS = 12_288
MAX_JWKS_BYTES = 16_384

_MOST_KID_CHARACTERS = 200
_AGREEMENT_CURVES = frozenset({"P-256", "P-384", "P-521", "X25519"})
_REGISTRY = jwe.JWERegistry(algorithms=(*KEY_MANAGEMENT, *CONTENT_ENCRYPTION))


class RecipientKeys:
    """The public keys of somebody's JWK Set, prepared once for any number of tokens."""

    __slots__ = ("_by_alg",)

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        """Raises `UnusableKey` unless `jwks` is a JWK Set of sound public keys (RFC 7517 5).

        RFC 7517 would have us ignore a key that we cannot read. It is refused, so that whoever
        registers it learns of it.
        """
        if len(msgspec.json.encode(jwks)) > MAX_JWKS_BYTES:
            raise UnusableKey(f"it is longer than {MAX_JWKS_BYTES} bytes")
        members = jwks.get("keys")
        if not isinstance(members, list) or not all(isinstance(it, Mapping) for it in members):
            raise UnusableKey("it needs a member keys, a list of JWKs")
        self._by_alg: dict[str, tuple[str | None, Key]] = {}
        for number, member in enumerate(members, start=1):
            try:
                kid, key = _kid_of(member), jwk.read_public(member)
            except UnusableKey as error:
                raise UnusableKey(f"key {number}: {error}") from None
            for alg in KEY_MANAGEMENT:
                if _fits(member, key, alg):
                    self._by_alg.setdefault(alg, (kid, key))

    def encrypt(self, payload: bytes, *, alg: str, enc: str, cty: str | None = None) -> str:
        """Return the compact JWE of `payload`, a JWT, for the first key that is for `alg`.

        `alg` is of `KEY_MANAGEMENT`, `enc` of `CONTENT_ENCRYPTION`; `cty` is "JWT" around a signed
        JWT (RFC 7519 5.2). Raises `NoEncryptionKey`.
        """
        if alg not in self._by_alg:
            raise NoEncryptionKey(f"no key is for {alg}")
        kid, key = self._by_alg[alg]
        header = {"alg": alg, "enc": enc, "typ": "JWT", "kid": kid, "cty": cty}
        given = {name: value for name, value in header.items() if value is not None}
        try:
            return jwe.encrypt_compact(given, payload, key, registry=_REGISTRY)
        except ValueError:
            # RFC 7748 6.1: with a point of small order X25519 agrees on a key that everybody knows.
            raise NoEncryptionKey(f"the key for {alg} agrees on no secret") from None


def _kid_of(member: Mapping[str, Any]) -> str | None:
    kid = member.get("kid")
    if kid is None or (isinstance(kid, str) and len(kid) <= _MOST_KID_CHARACTERS):
        return kid
    raise UnusableKey(f"kid must be a text of at most {_MOST_KID_CHARACTERS} characters")


def _fits(member: Mapping[str, Any], key: Key, alg: str) -> bool:
    # RFC 7517 4.2 to 4.4. `key_ops` only excludes: the export of browsers leaves it empty.
    if member.get("use", "enc") != "enc" or member.get("alg", alg) != alg:
        return False
    operations = member.get("key_ops")
    if isinstance(operations, list) and "verify" in operations:
        return False
    if isinstance(key, RSAKey):
        return alg == "RSA-OAEP-256"
    return alg == "ECDH-ES" and key.curve_name in _AGREEMENT_CURVES


class _EphemeralKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kty: Literal["EC"]
    crv: Literal["P-256"]
    x: str
    y: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Not `zip`, by which a short token becomes a long text; not `crit` (RFC 7516 4.1.13); and no
    # key of the sender's. `apu` and `apv` may be there (RFC 7518 4.6.1): they only enter into the
    # derivation of the content key, and some libraries always send them.
    alg: str
    enc: str
    epk: _EphemeralKey
    kid: str | None = None
    typ: str | None = None
    cty: str | None = None
    apu: str | None = None
    apv: str | None = None


_HEADER = msgspec.json.Decoder(_Header)


class DecryptionKey:
    """A key of ours, P-256 for ECDH-ES, that clients encrypt their requests to.

    `kid` is the RFC 7638 thumbprint; `public_jwk` is how the key is published.
    """

    alg = "ECDH-ES"

    __slots__ = ("_key", "kid", "public_jwk")

    def __init__(self, key: Key) -> None:
        """Raises `UnusableKey` unless `key` is private and on P-256."""
        if not isinstance(key, ECKey) or key.curve_name != "P-256" or not key.is_private:
            raise UnusableKey("it is not a private key on P-256")
        self._key = key
        self.kid = key.thumbprint()
        self.public_jwk: Mapping[str, object] = key.as_dict(
            private=False, use="enc", alg=self.alg, kid=self.kid
        )

    def __repr__(self) -> str:
        return f"DecryptionKey(kid={self.kid!r})"

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(ECKey.generate_key("P-256"))

    @classmethod
    def from_private_jwk(cls, private_jwk: bytes) -> Self:
        """Restore the key that `private_jwk` gave. Raises `UnusableKey`."""
        try:
            members = msgspec.json.decode(private_jwk, type=dict[str, Any])
        except ValueError:
            raise UnusableKey("it is not a JSON object") from None
        # RFC 7517 4.2: what signs must not decrypt.
        if members.get("use", "enc") != "enc" or members.get("alg", cls.alg) != cls.alg:
            raise UnusableKey(f"it is not for {cls.alg}")
        return cls(jwk.read(members))

    def private_jwk(self) -> bytes:
        """Return the private key as the JSON of a JWK: only to be sealed."""
        return msgspec.json.encode(self._key.as_dict(private=True, use="enc", alg=self.alg))

    def decrypt(self, token: str) -> bytes:
        """Return what the compact JWE `token` holds: proof of nothing but that it was meant for us.

        A `kid` may be missing (RFC 7516 4.1.6), but is never another key's. Raises `InvalidToken`.
        """
        if len(token) > MAX_ENCRYPTED_CHARACTERS:
            raise InvalidToken(f"longer than {MAX_ENCRYPTED_CHARACTERS} characters")
        segments = token.split(".")
        if len(segments) != 5:  # noqa: PLR2004  RFC 7516 7.1
            raise InvalidToken("not a compact JWE")
        try:
            octets = [b64url_decode(segment) for segment in segments]
        except ValueError:
            raise InvalidToken("not canonical base64url") from None
        self._check(octets[0])
        try:
            plaintext = jwe.decrypt_compact(token, self._key, registry=_REGISTRY).plaintext
        except (JoseError, ValueError):
            # One reason for all that can go wrong from here: no oracle.
            raise InvalidToken("it cannot be decrypted") from None
        return plaintext or b""

    def _check(self, raw_header: bytes) -> None:
        try:
            header = _HEADER.decode(raw_header)
        except ValueError:
            raise InvalidToken("header is not one of ECDH-ES alone") from None
        if header.alg != self.alg:
            raise InvalidToken("alg is not the key's")
        if header.enc not in CONTENT_ENCRYPTION:
            raise InvalidToken("enc is not accepted here")
        if header.kid not in (None, self.kid):
            raise InvalidToken("kid is not the key's")
