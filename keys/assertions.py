"""JWTs that others sign about themselves: client assertions (RFC 7521, RFC 7523 3) and the like."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from keys import jwk
from keys.errors import InvalidToken, UnusableKey
from keys.hashing import b64url_decode
from keys.signing import MAX_TOKEN_CHARACTERS, VerificationKey

MAC_ALGORITHM = "HS256"

# The kind of key that each algorithm takes (RFC 7518 3.1, RFC 8037 3.1).
_KINDS = {
    "ES256": ("EC", "P-256"),
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
    "EdDSA": ("OKP", "Ed25519"),
    "ES384": ("EC", "P-384"),
}


class _Header(msgspec.Struct, frozen=True):
    # What is not named here is not read (RFC 7515 4): `jwk`, `jku`, `x5c` and `x5u` would bring a
    # key of the attacker's. But what is critical must be understood, and we understand nothing.
    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: object = msgspec.UNSET


_HEADER = msgspec.json.Decoder(_Header)
_PAYLOAD = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True, slots=True, repr=False)
class Assertion:
    """A JWT of somebody else's, taken apart: nothing in it is proven before `check_*` returns.

    `typ` is in lower case, without the prefix `application/` (RFC 7515 4.1.9).
    """

    alg: str
    kid: str | None
    typ: str | None
    claims: Mapping[str, Any]
    _signing_input: bytes
    _signature: bytes

    @classmethod
    def read(cls, token: str) -> Self:
        """Take a compact JWS apart. Raises `InvalidToken`."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise InvalidToken(f"longer than {MAX_TOKEN_CHARACTERS} characters")
        segments = token.split(".")
        if len(segments) != 3:  # noqa: PLR2004  RFC 7515 7.1
            raise InvalidToken("not a compact JWS")
        try:
            header_octets, payload, signature = map(b64url_decode, segments)
        except ValueError:
            raise InvalidToken("not canonical base64url") from None
        try:
            header = _HEADER.decode(header_octets)
            claims = _PAYLOAD.decode(payload)
        except (ValueError, RecursionError):
            raise InvalidToken(
                "header and payload are not JSON objects as they should be"
            ) from None
        if header.crit is not msgspec.UNSET:
            raise InvalidToken("header has crit")
        return cls(
            alg=header.alg,
            kid=header.kid,
            typ=header.typ and header.typ.lower().removeprefix("application/"),
            claims=claims,
            _signing_input=f"{segments[0]}.{segments[1]}".encode("ascii"),
            _signature=signature,
        )

    def check_signature(self, jwks: Mapping[str, Any]) -> None:
        """Prove that the one key of a JWK Set that it can be from has signed it.

        It is found by `kid`; without one, the set must have only one key for `alg` (OpenID Connect
        Core 10.1). Raises `InvalidToken`.
        """
        if self.alg not in _KINDS:
            raise InvalidToken("alg is not accepted here")
        fitting = [member for member in jwks.get("keys", ()) if _fits(member, self.alg)]
        if self.kid is not None:
            # Of a set without identifiers its only key must be meant.
            fitting = [member for member in fitting if member.get("kid") == self.kid] or [
                member for member in fitting if "kid" not in member
            ]
        if not fitting:
            raise InvalidToken("no registered key has its kid and is for its alg")
        if len(fitting) > 1:
            raise InvalidToken("kid is missing, and several registered keys are for its alg")
        try:
            key = VerificationKey(jwk.read_public(fitting[0]), self.alg)
        except UnusableKey:
            raise InvalidToken("the registered key is unsound") from None
        if not key.verifies(self._signing_input, self._signature):
            raise InvalidToken("signature is wrong")

    def check_mac(self, secret: str) -> None:
        """Prove that whoever made it knows `secret` (OpenID Connect Core 10.1).

        Raises `InvalidToken`.
        """
        if self.alg != MAC_ALGORITHM:
            raise InvalidToken("alg is not accepted here")
        mac = hmac.digest(secret.encode(), self._signing_input, hashlib.sha256)
        if not hmac.compare_digest(mac, self._signature):
            raise InvalidToken("MAC is wrong")


def _fits(member: Mapping[str, Any], alg: str) -> bool:
    # RFC 7517 4.2 to 4.4: what a key is for. An empty `key_ops` says nothing.
    operations = member.get("key_ops")
    if isinstance(operations, list) and operations and "verify" not in operations:
        return False
    return (
        (member.get("kty"), member.get("crv")) == _KINDS[alg]
        and member.get("use", "sig") == "sig"
        and member.get("alg", alg) == alg
    )
