"""One signing key, and the proof that a token was signed by one of ours (RFC 7515, RFC 8725)."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

import msgspec
from joserfc.jwk import ECKey, RSAKey, import_key
from joserfc.jws import JWSRegistry

from keys.errors import InvalidToken
from keys.hashing import b64url, b64url_decode

MAX_TOKEN_CHARACTERS = 8192

_GENERATE: dict[str, Callable[[], ECKey | RSAKey]] = {
    "ES256": lambda: ECKey.generate_key("P-256", {"alg": "ES256", "use": "sig"}),
    "RS256": lambda: RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"}),
}
ALGORITHMS: tuple[str, ...] = tuple(_GENERATE)

# RFC 8725 3.1: the algorithms are ours to choose; `none` and HS* are not among them.
_REGISTRY = JWSRegistry(algorithms=ALGORITHMS)


class SigningKey:
    """A private key for one algorithm, prepared once so that signing does only the signature."""

    __slots__ = ("_algorithm", "_headers", "_key", "alg", "kid", "public_jwk")

    def __init__(self, key: ECKey | RSAKey) -> None:
        """`key` is private and has the `alg` that it is for, one of `ALGORITHMS`."""
        self._key = key
        self._algorithm = _REGISTRY.get_alg(key.alg or "")
        self._algorithm.check_key(key)
        self._headers: dict[str, str] = {}
        self.alg = self._algorithm.name
        self.kid = key.thumbprint()  # RFC 7638
        self.public_jwk: Mapping[str, object] = key.as_dict(private=False, kid=self.kid)

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, alg={self.alg!r})"

    @classmethod
    def generate(cls, alg: str) -> Self:
        """Make a new key; tens of milliseconds of one core for RS256."""
        return cls(_GENERATE[alg]())

    @classmethod
    def from_private_jwk(cls, private_jwk: bytes) -> Self:
        """Restore the key that `private_jwk` gave; about 30 ms for RS256, which checks primes."""
        key = import_key(msgspec.json.decode(private_jwk, type=dict[str, Any]))
        if not isinstance(key, ECKey | RSAKey):
            raise TypeError(f"a {key.key_type} key cannot sign here")
        return cls(key)

    def private_jwk(self) -> bytes:
        """Return the private key as the JSON of a JWK: only to be sealed."""
        return msgspec.json.encode(self._key.as_dict(private=True))

    def sign(self, payload: bytes, *, typ: str) -> str:
        """Return the compact JWS of `payload` with exactly `alg`, `kid` and `typ` in its header.

        `typ` comes from our own code: each one that was used is remembered.
        """
        # `jws.serialize_compact` checks and encodes the same header on every call: a quarter more.
        header = self._headers.get(typ)
        if header is None:
            fields = {"alg": self.alg, "kid": self.kid, "typ": typ}
            header = self._headers[typ] = b64url(msgspec.json.encode(fields))
        signing_input = f"{header}.{b64url(payload)}"
        signature = self._algorithm.sign(signing_input.encode("ascii"), self._key)
        return f"{signing_input}.{b64url(signature)}"

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """Say whether `signature` over `signing_input` was made with this key."""
        return self._algorithm.verify(signing_input, signature, self._key)


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # What `SigningKey.sign` writes and nothing else: `crit` and `b64` would change the meaning of
    # the token (RFC 7515 4.1.11), `jku`, `jwk`, `x5u` and `x5c` bring a key of the attacker's.
    alg: str = ""
    kid: str = ""
    typ: str = ""


_HEADER = msgspec.json.Decoder(_Header)
_PAYLOAD = msgspec.json.Decoder(dict[str, Any])


def verify(
    token: str, *, keys: Mapping[str, SigningKey], typ: str, algs: Collection[str]
) -> dict[str, Any]:
    """Return the claims of a token that one of `keys` (by `kid`) signed as a `typ`.

    Checks the form, the header, the signature and that the payload is a JSON object, in this
    order; `exp`, `iss` and `aud` are the caller's to judge. Raises `InvalidToken`.
    """
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise InvalidToken(f"longer than {MAX_TOKEN_CHARACTERS} characters")
    signing_input, _, signature_segment = token.rpartition(".")
    header_segment, _, payload_segment = signing_input.partition(".")
    if "." in payload_segment or not (header_segment and payload_segment and signature_segment):
        raise InvalidToken("not a compact JWS")

    key = _choose_key(_decode_header(header_segment), keys, typ, algs)
    signature, payload = _decode_segment(signature_segment), _decode_segment(payload_segment)
    if not key.verifies(signing_input.encode("ascii"), signature):
        raise InvalidToken("signature is wrong")
    try:
        return _PAYLOAD.decode(payload)
    except ValueError:
        raise InvalidToken("payload is not a JSON object") from None


def _decode_segment(segment: str) -> bytes:
    try:
        return b64url_decode(segment)
    except ValueError:
        raise InvalidToken("not canonical base64url") from None


def _decode_header(segment: str) -> _Header:
    data = _decode_segment(segment)
    try:
        return _HEADER.decode(data)
    except msgspec.ValidationError:
        raise InvalidToken("header is not just alg, kid and typ") from None
    except ValueError:
        raise InvalidToken("header is not JSON") from None


def _choose_key(
    header: _Header, keys: Mapping[str, SigningKey], typ: str, algs: Collection[str]
) -> SigningKey:
    # RFC 8725 3.11: the same key signs tokens for other uses. RFC 7515 4.1.9: the prefix of the
    # media type may be written out.
    if header.typ not in (typ, f"application/{typ}"):
        raise InvalidToken("typ is not the expected one")
    if header.alg not in algs:
        raise InvalidToken("alg is not accepted here")
    if not header.kid:
        raise InvalidToken("kid is missing")
    key = keys.get(header.kid)
    if key is None:
        raise InvalidToken("kid is unknown")
    # RFC 8725 3.1: the key's algorithm is used, never the one that the token asks for.
    if header.alg != key.alg:
        raise InvalidToken("alg is not the key's")
    return key
