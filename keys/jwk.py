"""Reading keys that are written as JSON (RFC 7517, RFC 7518 6, RFC 8037 2)."""

from collections.abc import Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from keys.errors import UnusableKey

Key = ECKey | OKPKey | RSAKey

_CLASSES: dict[str, type[Key]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
# RFC 7518 3.3 and 4.3 demand 2048 bits. Beyond 4096, and with a public exponent of hundreds of
# digits, somebody else's key would make us spend milliseconds on each token.
_RSA_BITS = range(2048, 4097)
_MOST_EXPONENT_BITS = 64


def read(jwk: Mapping[str, Any]) -> Key:
    """Return the key itself in its one canonical form, public or private as the JWK is.

    `kid`, `use`, `alg` and the like are left behind. Raises `UnusableKey` for a symmetric or
    unsound key, and for an RSA key that is weak or needlessly expensive.
    """
    cls = _CLASSES.get(str(jwk.get("kty")))
    if cls is None:
        raise UnusableKey("kty must be EC, OKP or RSA")
    members = {name: jwk[name] for name in cls.value_registry if name in jwk}
    try:
        cls.validate_dict_key({"kty": cls.key_type} | members)
        native: Any = cls.binding.import_from_dict(members)
    except (JoseError, KeyError, ValueError):
        # Which member it is may be told apart by its value: nothing of a private key is quoted.
        raise UnusableKey(f"it is not a sound {cls.key_type} key") from None
    if cls is RSAKey:
        numbers = (native.public_key() if "d" in members else native).public_numbers()
        if native.key_size not in _RSA_BITS or numbers.e.bit_length() > _MOST_EXPONENT_BITS:
            raise UnusableKey(
                f"an RSA key has {_RSA_BITS.start} to {_RSA_BITS.stop - 1} bits "
                f"and an exponent of at most {_MOST_EXPONENT_BITS}"
            )
    return cls.import_key(native)


def read_public(jwk: Mapping[str, Any]) -> Key:
    """Return the public key of a JWK; raises `UnusableKey` as `read` does, or if it is private."""
    if not _PRIVATE_MEMBERS.isdisjoint(jwk):
        raise UnusableKey("it must be public: it has a private or symmetric member")
    return read(jwk)
