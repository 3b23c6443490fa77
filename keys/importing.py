"""A private key that another system brings along, as PEM or as a JWK."""

from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from keys.errors import UnusableKey
from keys.jwk import Key
from keys.signing import SigningKey

_PEM = b"-----BEGIN "
_CLASSES: tuple[tuple[type, type[Key]], ...] = (
    (EllipticCurvePrivateKey, ECKey),
    (RSAPrivateKey, RSAKey),
    (Ed25519PrivateKey, OKPKey),
)


def read_signing_key(content: bytes, alg: str) -> SigningKey:
    """The private key in a file, for `alg`. Raises UnusableKey, which says nothing of the key."""
    members = _from_pem(content) if _PEM in content else _from_json(content)
    if members.get("alg", alg) != alg:
        raise UnusableKey(f"its alg is another one than {alg}")
    return SigningKey.from_private_jwk(msgspec.json.encode(members | {"alg": alg}))


def _from_json(content: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (ValueError, RecursionError):
        raise UnusableKey("it is neither PEM nor a JWK") from None


def _from_pem(content: bytes) -> dict[str, Any]:
    if b"PRIVATE KEY-----" not in content:
        raise UnusableKey("it has no private part to sign with")
    try:
        native = load_pem_private_key(content, password=None)
    except TypeError:
        raise UnusableKey("a passphrase protects it: `openssl pkey` writes it without") from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnusableKey("it is not a sound private key in PEM") from None
    for kind, cls in _CLASSES:
        if isinstance(native, kind):
            binding: Any = cls.binding
            try:
                members = dict[str, Any](binding.export_private_key(native))
            except (JoseError, KeyError, ValueError):  # a curve that JOSE does not know
                break
            return members | {"kty": cls.key_type}
    raise UnusableKey("it is not for any algorithm of ours: it must be EC, RSA or Ed25519")
