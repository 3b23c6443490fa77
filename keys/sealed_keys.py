"""A key as a row of the store, and back: both of its parts are sealed.

The public part stands in the row in the clear too, but is believed only as far as its sealed copy
goes: whoever can write rows still cannot make a token that verifies.
"""

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from keys.encryption import DecryptionKey
from keys.errors import SealError
from keys.sealing import Sealer
from keys.signing import Signer, SigningKey, VerificationKey
from storage.records import SigningKeyRow

if TYPE_CHECKING:
    from keys.hsm import Hsm


class _Named(Protocol):
    @property
    def alg(self) -> str: ...
    @property
    def kid(self) -> str: ...


def private_label(key: _Named) -> str:
    """What the sealed private part of a key says that it is."""
    return f"{key.kid}|{key.alg}|private"


def public_label(key: _Named) -> str:
    """What the sealed public part of a key says that it is."""
    return f"{key.kid}|{key.alg}|public"


def seal(key: Signer | DecryptionKey, sealer: Sealer, now: int) -> SigningKeyRow:
    """A row for a new key, published from `now` on."""
    public_jwk = dict(key.public_jwk)
    private_jwk = key.private_jwk() if isinstance(key, SigningKey | DecryptionKey) else None
    return SigningKeyRow(
        kid=key.kid,
        alg=key.alg,
        use="enc" if isinstance(key, DecryptionKey) else "sig",
        public_jwk=public_jwk,
        created_at=now,
        token_lifetime=0,
        hsm=private_jwk is None,
        sealed_public=sealer.seal(msgspec.json.encode(public_jwk), label=public_label(key)),
        sealed_private=(
            sealer.seal(private_jwk, label=private_label(key)) if private_jwk is not None else None
        ),
    )


def open_signing(row: SigningKeyRow, sealer: Sealer) -> SigningKey:
    """The key of a row, to sign with; tens of milliseconds for RSA. Raises SealError."""
    if row.sealed_private is None:
        raise SealError(f"the key {row.kid} has lost its sealed private part")
    return SigningKey.from_private_jwk(sealer.open(row.sealed_private, label=private_label(row)))


def open_in_module(row: SigningKeyRow, sealer: Sealer, hsm: "Hsm | None") -> Signer:
    """The same for a key in the hardware security module. Blocks. Raises SealError and HsmError."""
    if hsm is None:
        raise SealError(f"the key {row.kid} is in a hardware security module: configure [hsm]")
    # A public key that was exchanged in the row would be published with signatures of the module.
    return hsm.key(open_verification(row, sealer).public_jwk)


def open_verification(row: SigningKeyRow, sealer: Sealer) -> VerificationKey:
    """The key of a row, to verify with. Raises SealError."""
    return VerificationKey.from_public_jwk(open_public(row, sealer))


def open_public(row: SigningKeyRow, sealer: Sealer) -> dict[str, Any]:
    """The public JWK of a row's key, whatever the key is for. Raises SealError."""
    if row.sealed_public is None:
        raise SealError(f"the key {row.kid} has lost its sealed public part")
    public_jwk = sealer.open(row.sealed_public, label=public_label(row))
    return msgspec.json.decode(public_jwk, type=dict[str, Any])


def open_decryption(row: SigningKeyRow, sealer: Sealer) -> DecryptionKey:
    """The key of a row, to decrypt with. Raises SealError."""
    if row.sealed_private is None:
        raise SealError(f"the key {row.kid} has lost its sealed private part")
    return DecryptionKey.from_private_jwk(sealer.open(row.sealed_private, label=private_label(row)))
