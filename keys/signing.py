"""Signing keys, and the proof that a token was signed by one of ours (RFC 7515, RFC 8725)."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from keys import jwk
from keys.errors import InvalidToken, UnusableKey
from keys.hashing import b64url, b64url_decode
from keys.jwk import Key

MAX_TOKEN_CHARACTERS = 8192

# RFC 8725 3.1: the algorithms are ours to choose; `none` and HS* are not among them.
_GENERATE: dict[str, Callable[[], Key]] = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "RS256": lambda: RSAKey.generate_key(2048),
    "PS256": lambda: RSAKey.generate_key(2048),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "ES384": lambda: ECKey.generate_key("P-384"),
}
ALGORITHMS: tuple[str, ...] = tuple(_GENERATE)

# `EdDSA` leaves the curve open. RFC 9864 names ours, and joserfc's model of that name insists on
# it; in headers, JWKs and metadata stays the name that relying parties know.
_MODELS = {alg: "Ed25519" if alg == "EdDSA" else alg for alg in ALGORITHMS}
_REGISTRY = JWSRegistry(algorithms=tuple(_MODELS.values()))

# RFC 7518 3.4: how each one signs, and the octets of R and of S.
_ECDSA = {"ES256": (ECDSA(SHA256()), 32), "ES384": (ECDSA(SHA384()), 48)}


class VerificationKey:
    """The public part of a key for one algorithm, prepared once for any number of signatures.

    `kid` is the RFC 7638 thumbprint; `public_jwk` is how the key is published (RFC 7517 4).
    """

    __slots__ = ("_algorithm", "_key", "alg", "kid", "public_jwk")

    def __init__(self, key: Key, alg: str) -> None:
        """Raises `UnusableKey` unless `alg` is one of `ALGORITHMS` and `key` is for it."""
        if alg not in ALGORITHMS:
            raise UnusableKey(f"alg must be one of {', '.join(ALGORITHMS)}")
        self._algorithm = _REGISTRY.get_alg(_MODELS[alg])
        try:
            self._algorithm.check_key(key)
        except JoseError:
            raise UnusableKey(f"it is not a key for {alg}: another kty or crv") from None
        self._key = key
        self.alg = alg
        self.kid = key.thumbprint()
        self.public_jwk: Mapping[str, object] = key.as_dict(
            private=False, use="sig", alg=alg, kid=self.kid
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kid={self.kid!r}, alg={self.alg!r})"

    @classmethod
    def from_public_jwk(cls, public_jwk: Mapping[str, Any]) -> Self:
        """Make a key of a JWK that names its `alg`; raises `UnusableKey`, also if it is private."""
        return cls(jwk.read_public(public_jwk), _alg_of(public_jwk))

    def verifies(self, signing_input: bytes, signature: bytes) -> bool:
        """Say whether `signature` over `signing_input` was made with this key."""
        return self._algorithm.verify(signing_input, signature, self._key)


class Signer(VerificationKey, ABC):
    """A key that signs, wherever its private part is."""

    __slots__ = ("_headers",)

    def __init__(self, key: Key, alg: str) -> None:
        """Raises `UnusableKey` as `VerificationKey` does."""
        super().__init__(key, alg)
        self._headers: dict[str, str] = {}

    async def sign(self, payload: bytes, *, typ: str) -> str:
        """Return the compact JWS of `payload` with exactly `alg`, `kid` and `typ` in its header.

        `typ` comes from our own code: each one that was used is remembered.
        """
        # `jws.serialize_compact` checks and encodes the same header on every call: a quarter more.
        header = self._headers.get(typ)
        if header is None:
            fields = {"alg": self.alg, "kid": self.kid, "typ": typ}
            header = self._headers[typ] = b64url(msgspec.json.encode(fields))
        signing_input = f"{header}.{b64url(payload)}"
        return f"{signing_input}.{b64url(await self.signature(signing_input.encode('ascii')))}"

    @property
    def ready(self) -> bool:
        """Whether signing can be expected to work."""
        return True

    @abstractmethod
    async def signature(self, signing_input: bytes) -> bytes:
        """Return the octets of the signature as RFC 7518 3 has them: of ECDSA, R and then S."""


class SigningKey(Signer):
    """A key whose private part is in this process's memory."""

    __slots__ = ("_sign",)

    def __init__(self, key: Key, alg: str) -> None:
        """Raises `UnusableKey` as `VerificationKey` does, and for a public `key`."""
        super().__init__(key, alg)
        if not key.is_private:
            raise UnusableKey("it has no private part to sign with")
        private_key = key.private_key if isinstance(key, ECKey) else None
        self._sign = (
            functools.partial(self._algorithm.sign, key=key)
            if private_key is None
            else _ecdsa(private_key, alg)
        )

    @classmethod
    def generate(cls, alg: str) -> Self:
        """Make a new key; tens of milliseconds of one core for RSA."""
        return cls(_GENERATE[alg](), alg)

    @classmethod
    def from_private_jwk(cls, private_jwk: bytes) -> Self:
        """Restore the key that `private_jwk` gave, or take over one that was made elsewhere.

        About 30 ms for RSA, whose primes are checked. Raises `UnusableKey`.
        """
        try:
            members = msgspec.json.decode(private_jwk, type=dict[str, Any])
        except ValueError:
            raise UnusableKey("it is not a JSON object") from None
        return cls(jwk.read(members), _alg_of(members))

    def private_jwk(self) -> bytes:
        """Return the private key as the JSON of a JWK: only to be sealed."""
        return msgspec.json.encode(self._key.as_dict(private=True, use="sig", alg=self.alg))

    async def signature(self, signing_input: bytes) -> bytes:
        """Sign at once: a thread would cost more than most of these signatures."""
        return self._sign(signing_input)


def _ecdsa(private_key: EllipticCurvePrivateKey, alg: str) -> Callable[[bytes], bytes]:
    # joserfc makes the hash and looks the key up for each signature: a third more for ES256.
    algorithm, octets = _ECDSA[alg]

    def sign(signing_input: bytes) -> bytes:
        r, s = decode_dss_signature(private_key.sign(signing_input, algorithm))
        return r.to_bytes(octets, "big") + s.to_bytes(octets, "big")

    return sign


def _alg_of(members: Mapping[str, Any]) -> str:
    # RFC 7517 4.2: what is published for encryption must not sign.
    if members.get("use", "sig") != "sig":
        raise UnusableKey("its use is not sig")
    return str(members.get("alg"))


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # What `Signer.sign` writes and nothing else: `crit` and `b64` would change the meaning of
    # the token (RFC 7515 4.1.11), `jku`, `jwk`, `x5u` and `x5c` bring a key of the attacker's.
    alg: str = ""
    kid: str = ""
    typ: str = ""


_HEADER = msgspec.json.Decoder(_Header)
_PAYLOAD = msgspec.json.Decoder(dict[str, Any])


def verify(
    token: str, *, keys: Mapping[str, VerificationKey], typ: str, algs: Collection[str]
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
    header: _Header, keys: Mapping[str, VerificationKey], typ: str, algs: Collection[str]
) -> VerificationKey:
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
