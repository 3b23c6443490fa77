"""Signing keys that never leave a PKCS#11 token (a hardware security module)."""

import asyncio
import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import pkcs11
from pkcs11 import MGF, Attribute, KeyType, Mechanism, MechanismFlag
from pkcs11.util.ec import encode_named_curve_parameters

from conf.model import HsmSettings
from keys import jwk
from keys.errors import HsmError
from keys.hashing import b64url
from keys.pkcs11_sessions import Session, Sessions
from keys.signing import Signer

# How many signatures the token is asked for at the same time; more wait for their turn.
_THREADS: Final = 4
_SIGNATURE_SECONDS: Final = 5


class _Curve(NamedTuple):
    name: str  # RFC 7518 6.2.1.1, RFC 8037 2: crv
    parameters: bytes  # CKA_EC_PARAMS
    coordinate_bytes: int


class _Scheme(NamedTuple):
    """How a token makes the keys and the signatures of one `alg`."""

    key_type: KeyType
    mechanism: Mechanism
    parameter: tuple[Mechanism, MGF, int] | None = None
    digest: Callable[[bytes], bytes] | None = None  # where the mechanism itself hashes nothing
    curve: _Curve | None = None  # None: RSA


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _sha384(data: bytes) -> bytes:
    return hashlib.sha384(data).digest()


_RSA_BITS: Final = 2048
_SCHEMES: Final = {
    # Tokens differ in whether they have CKM_ECDSA_SHA256: all have the one that signs a digest.
    "ES256": _Scheme(
        KeyType.EC,
        Mechanism.ECDSA,
        digest=_sha256,
        curve=_Curve("P-256", encode_named_curve_parameters("secp256r1"), 32),
    ),
    "ES384": _Scheme(
        KeyType.EC,
        Mechanism.ECDSA,
        digest=_sha384,
        curve=_Curve("P-384", encode_named_curve_parameters("secp384r1"), 48),
    ),
    "EdDSA": _Scheme(
        KeyType.EC_EDWARDS,
        Mechanism.EDDSA,
        curve=_Curve("Ed25519", b"\x13\x0cedwards25519", 32),  # a PrintableString
    ),
    "RS256": _Scheme(KeyType.RSA, Mechanism.SHA256_RSA_PKCS),
    # RFC 7518 3.5: MGF1 with the same hash, and a salt as long as its output.
    "PS256": _Scheme(
        KeyType.RSA,
        Mechanism.SHA256_RSA_PKCS_PSS,
        parameter=(Mechanism.SHA256, MGF.SHA256, 32),
    ),
}


class HsmKey(Signer):
    """A key whose private part is in the token: `sign` waits for it and raises `HsmError`."""

    __slots__ = ("_hsm", "_ready")

    def __init__(self, public_jwk: Mapping[str, Any], hsm: "Hsm") -> None:
        """Raises `UnusableKey` if `public_jwk` is none for its `alg`."""
        super().__init__(jwk.read_public(public_jwk), str(public_jwk.get("alg")))
        self._hsm = hsm
        self._ready = True

    async def signature(self, signing_input: bytes) -> bytes:
        """Let the token sign, in a thread of the HSM's own. Raises `HsmError`."""
        try:
            # PKCS#11 knows no limit: a token behind a network may never answer.
            async with asyncio.timeout(_SIGNATURE_SECONDS):
                signature = await self._hsm.signature(self.kid, self.alg, signing_input)
        except (TimeoutError, HsmError) as error:
            self._ready = False
            if isinstance(error, HsmError):
                raise
            raise HsmError(f"the token did not sign within {_SIGNATURE_SECONDS} seconds") from None
        self._ready = True
        return signature

    @property
    def ready(self) -> bool:
        """Whether the last signature succeeded."""
        return self._ready


class Hsm:
    """The token that the settings name, for this process: there can be one `Hsm` in each.

    It is opened at the first use, and again when it was lost; a PIN that was refused is not tried
    again. All methods but `signature` block until the token answers: call them in a thread. All
    raise `HsmError`.
    """

    def __init__(self, settings: HsmSettings) -> None:
        """Nothing is opened yet, and no thread started."""
        self._sessions = Sessions(settings)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="hsm")
        # SoftHSM loses attributes of keys that several threads make and destroy at once.
        self._changing = threading.Lock()

    def generate(self, alg: str) -> HsmKey:
        """Make a key that the token will never show, named by its thumbprint (CKA_ID).

        If the token is lost meanwhile, a key may be left behind in it, which nothing refers to.
        """
        scheme = _SCHEMES[alg]

        def make(session: Session) -> HsmKey:
            pair = _generate_pair(session.objects, scheme, label=f"idp {alg}")
            try:
                key = HsmKey(_public_jwk(pair[0], alg, scheme), self)
                for part in pair:
                    part[Attribute.ID] = key.kid.encode()
            except Exception:
                for part in pair:
                    part.destroy()
                raise
            return key

        with self._changing:
            key = self._sessions.run(make, doing=f"make a key for {alg}")
        try:
            self._prove(key)
        except HsmError:
            self.destroy(key.kid)
            raise
        return key

    def key(self, public_jwk: Mapping[str, Any]) -> HsmKey:
        """Return the key whose public part is `public_jwk`; raises `UnusableKey` if it is none.

        It has signed something then, so that a wrong key is found before a token is made with it.
        """
        key = HsmKey(public_jwk, self)
        self._prove(key)
        return key

    def destroy(self, kid: str) -> bool:
        """Destroy the private and the public key `kid`; whether anything of them was there."""

        def destroy(session: Session) -> bool:
            found = session.key_objects(kid)
            for part in found:
                part.destroy()
            return bool(found)

        with self._changing:
            return self._sessions.run(destroy, doing=f"destroy the key {kid}")

    async def signature(self, kid: str, alg: str, data: bytes) -> bytes:
        """Return the signature of `data` with the key `kid`, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._signature, kid, alg, data)

    def close(self) -> None:
        """Wait for the signatures that are under way, and end all sessions."""
        self._threads.shutdown()
        self._sessions.close()

    def _signature(self, kid: str, alg: str, data: bytes) -> bytes:
        scheme = _SCHEMES[alg]
        to_sign = scheme.digest(data) if scheme.digest else data

        def sign(session: Session) -> bytes:
            return session.private_key(kid).sign(
                to_sign, mechanism=scheme.mechanism, mechanism_param=scheme.parameter
            )

        return self._sessions.run(sign, doing=f"sign with the key {kid}")

    def _prove(self, key: HsmKey) -> None:
        challenge = secrets.token_bytes(32)
        if not key.verifies(challenge, self._signature(key.kid, key.alg, challenge)):
            raise HsmError(f"the HSM signs with another key than {key.kid} under its name")


def _generate_pair(
    session: pkcs11.Session, scheme: _Scheme, label: str
) -> tuple[pkcs11.PublicKey, pkcs11.PrivateKey]:
    template: dict[str, Any] = {
        "id": secrets.token_bytes(16),  # until the thumbprint is known
        "label": label,
        "store": True,
        "capabilities": MechanismFlag.SIGN | MechanismFlag.VERIFY,
        "private_template": {
            Attribute.PRIVATE: True,
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
        },
    }
    if scheme.curve is None:
        return session.generate_keypair(
            scheme.key_type,
            _RSA_BITS,
            public_template={Attribute.PUBLIC_EXPONENT: b"\x01\x00\x01"},
            **template,
        )
    domain = session.create_domain_parameters(
        scheme.key_type, {Attribute.EC_PARAMS: scheme.curve.parameters}, local=True
    )
    return domain.generate_keypair(**template)


def _public_jwk(public_key: pkcs11.PublicKey, alg: str, scheme: _Scheme) -> dict[str, str]:
    if scheme.curve is None:
        modulus, exponent = public_key[Attribute.MODULUS], public_key[Attribute.PUBLIC_EXPONENT]
        return {
            "alg": alg,
            "kty": "RSA",
            "n": b64url(modulus.lstrip(b"\0")),
            "e": b64url(exponent.lstrip(b"\0")),
        }
    # Tokens differ in whether the point is wrapped into an OCTET STRING; its end is the same.
    size = scheme.curve.coordinate_bytes
    point = public_key[Attribute.EC_POINT]
    members = {"alg": alg, "crv": scheme.curve.name}
    if scheme.key_type is KeyType.EC_EDWARDS:
        return members | {"kty": "OKP", "x": b64url(point[-size:])}
    return members | {
        "kty": "EC",
        "x": b64url(point[-2 * size : -size]),
        "y": b64url(point[-size:]),
    }
