"""The provider's signing keys and server secrets, held open in memory by each worker."""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import msgspec

from keys import signing
from keys.sealing import Sealer
from keys.signing import ALGORITHMS, SigningKey
from storage.records import ServerSecretRow, SigningKeyRow

SERVER_SECRETS: tuple[str, ...] = ("otp", "refresh", "interaction", "csrf")
_SECRET_BYTES = 32


class KeyStore(Protocol):
    """The piece of storage that the ring needs. Each `add` decides atomically and is repeatable."""

    async def signing_keys(self) -> list[SigningKeyRow]:
        """Return all signing keys."""

    async def signing_key_add(self, row: SigningKeyRow, now: int, /) -> list[SigningKeyRow]:
        """Add `row` unless its `alg` has an active key; return all signing keys."""

    async def server_secrets(self) -> list[ServerSecretRow]:
        """Return all versions of all server secrets."""

    async def server_secret_add(self, row: ServerSecretRow, now: int, /) -> list[ServerSecretRow]:
        """Add `row` unless its name has that version; return all server secrets."""


@dataclass(frozen=True, slots=True, repr=False)
class _Contents:
    """What was loaded at one time, replaced as a whole so that no reader sees half of it."""

    keys: Mapping[str, SigningKey] = field(default_factory=dict)
    active: Mapping[str, SigningKey] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)


class KeyRing:
    """Signs with the active key of an algorithm, verifies with every key that the store keeps.

    A key that must no longer be trusted is removed from the store. What the store says is not
    believed on its own: a key counts only if its private part opens under the key-encryption key,
    so that who can write rows still cannot make a token that verifies.
    """

    __slots__ = ("_contents", "_sealer", "_store")

    def __init__(self, store: KeyStore, sealer: Sealer) -> None:
        """Make an empty ring; `open` is the way to a usable one."""
        self._store = store
        self._sealer = sealer
        self._contents = _Contents()

    def __repr__(self) -> str:
        return f"KeyRing(kids={sorted(self._contents.keys)!r})"

    @classmethod
    async def open(cls, store: KeyStore, sealer: Sealer, now: int) -> Self:
        """Load the keys and secrets, and create those that are missing.

        Safe when several workers open at once: all end with the same keys. Raises `SealError`
        under a wrong key-encryption key, and `storage.errors.StoreError`.
        """
        ring = cls(store, sealer)
        await ring.reload(now)
        return ring

    async def reload(self, now: int) -> None:
        """Take over what changed in the store since the last time, and create what is missing.

        Raises as `open` does; the ring then keeps what it had.
        """
        keys, active = await self._load_keys(now)
        self._contents = _Contents(keys, active, await self._load_secrets(now))

    def sign(self, claims: Mapping[str, object], *, alg: str, typ: str) -> str:
        """Return `claims` as a JWT signed with the active key of `alg`, of the media type `typ`.

        Raises `KeyError` for an algorithm that is not in `algorithms()`.
        """
        return self._contents.active[alg].sign(msgspec.json.encode(dict(claims)), typ=typ)

    def verify(self, token: str, *, typ: str, algs: tuple[str, ...]) -> dict[str, Any]:
        """Return the claims of `token` if this provider signed it as a `typ` with one of `algs`.

        Proves the form, the header and the signature; `exp`, `iss` and `aud` are the caller's to
        judge. Raises `InvalidToken`.
        """
        return signing.verify(token, keys=self._contents.keys, typ=typ, algs=algs)

    def jwks(self) -> dict[str, list[dict[str, object]]]:
        """Return the JWK Set with the public part of every key (RFC 7517 5)."""
        return {"keys": [dict(key.public_jwk) for key in self._contents.keys.values()]}

    def algorithms(self) -> tuple[str, ...]:
        """Return the `alg` values that `sign` accepts."""
        return ALGORITHMS

    def secret(self, name: str) -> bytes:
        """Return the 32 bytes of the newest version of a server secret.

        Raises `KeyError` for a name that is not in `SERVER_SECRETS`.
        """
        return self._contents.secrets[name]

    async def _load_keys(self, now: int) -> tuple[dict[str, SigningKey], dict[str, SigningKey]]:
        rows = await self._store.signing_keys()
        for alg in ALGORITHMS:
            if not any(row.alg == alg and row.state == "active" for row in rows):
                key = await asyncio.to_thread(SigningKey.generate, alg)
                rows = await self._store.signing_key_add(self._seal_key(key, now), now)

        keys: dict[str, SigningKey] = {}
        active: dict[str, SigningKey] = {}
        # A newer version of the server, running beside this one, may sign with other algorithms.
        for row in sorted(rows, key=lambda row: (row.created_at, row.kid)):
            if row.alg not in ALGORITHMS:
                continue
            key = self._contents.keys.get(row.kid) or await self._open_key(row)
            keys[key.kid] = key
            if row.state == "active":
                active[key.alg] = key
        return keys, active

    async def _load_secrets(self, now: int) -> dict[str, bytes]:
        rows = await self._store.server_secrets()
        for name in SERVER_SECRETS:
            if not any(row.name == name for row in rows):
                rows = await self._store.server_secret_add(self._seal_new_secret(name, now), now)

        newest = {row.name: row for row in sorted(rows, key=lambda row: row.version)}
        return {
            name: self._sealer.open(
                newest[name].sealed, label=_secret_label(name, newest[name].version)
            )
            for name in SERVER_SECRETS
        }

    def _seal_key(self, key: SigningKey, now: int) -> SigningKeyRow:
        return SigningKeyRow(
            kid=key.kid,
            alg=key.alg,
            state="active",
            public_jwk=dict(key.public_jwk),
            sealed_private=self._sealer.seal(key.private_jwk(), label=_key_label(key.kid, key.alg)),
            created_at=now,
        )

    async def _open_key(self, row: SigningKeyRow) -> SigningKey:
        private_jwk = self._sealer.open(row.sealed_private, label=_key_label(row.kid, row.alg))
        return await asyncio.to_thread(SigningKey.from_private_jwk, private_jwk)

    def _seal_new_secret(self, name: str, now: int) -> ServerSecretRow:
        sealed = self._sealer.seal(secrets.token_bytes(_SECRET_BYTES), label=_secret_label(name, 1))
        return ServerSecretRow(name=name, version=1, sealed=sealed, created_at=now)


def _key_label(kid: str, alg: str) -> str:
    return f"{kid}|{alg}"


def _secret_label(name: str, version: int) -> str:
    return f"{name}|{version}"
