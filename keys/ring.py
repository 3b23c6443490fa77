"""The provider's keys and server secrets, held open in memory by each worker."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from keys import sealed_keys, server_secrets, signing
from keys.client_secrets import ClientSecretSealer
from keys.encryption import DecryptionKey
from keys.errors import HsmError, InvalidToken, SealError, SigningUnavailable
from keys.life_cycle import LifeCycle
from keys.server_secrets import Opened
from keys.signing import ALGORITHMS, Signer, VerificationKey
from storage.records import ServerSecretRow, SigningKeyRow

# Tokens whose signature was proven a moment ago, for each of two generations.
_MOST_REMEMBERED = 1_000
_PUBLISHED = ("active", "next", "retiring")


@dataclass(frozen=True, slots=True, repr=False)
class _Contents:
    """What was loaded at one time, replaced as a whole so that no reader sees half of it."""

    rows: Sequence[SigningKeyRow] = ()
    signing: Mapping[str, Signer] = field(default_factory=dict)
    verification: Mapping[str, VerificationKey] = field(default_factory=dict)
    decryption: Mapping[str, DecryptionKey] = field(default_factory=dict)
    active: Mapping[str, Signer] = field(default_factory=dict)
    accepted: Mapping[str, VerificationKey] = field(default_factory=dict)
    jwks: Mapping[str, Any] = field(default_factory=dict)
    secret_rows: Sequence[ServerSecretRow] = ()
    secrets: Opened = field(default_factory=lambda: Opened({}, None))


class _Loaded:
    """Keys as they are opened, row by row; what was open before is taken over."""

    def __init__(self, before: _Contents, life_cycle: LifeCycle) -> None:
        self._before = before
        self._life_cycle = life_cycle
        self.signing: dict[str, Signer] = {}
        self.verification: dict[str, VerificationKey] = {}
        self.decryption: dict[str, DecryptionKey] = {}

    async def take(self, row: SigningKeyRow) -> None:
        """Open a key as far as its state lets it count. Raises SealError and HsmError."""
        before, sealer = self._before, self._life_cycle.sealer
        if row.use == "enc":
            if row.state in _PUBLISHED:
                known = before.decryption.get(row.kid)
                self.decryption[row.kid] = known or sealed_keys.open_decryption(row, sealer)
        # A newer version of the server, running beside this one, may sign with others.
        elif row.alg in ALGORITHMS and row.state != "revoked":
            # What was revoked and put back has lost its sealed part for good.
            proof = before.verification.get(row.kid) if row.sealed_public else None
            self.verification[row.kid] = proof or sealed_keys.open_verification(row, sealer)
            if row.state in ("active", "next"):
                key = before.signing.get(row.kid)
                hsm = self._life_cycle.hsm
                self.signing[row.kid] = key or await sealed_keys.open_signing(row, sealer, hsm)

    def published(self, rows: Sequence[SigningKeyRow]) -> Iterator[VerificationKey | DecryptionKey]:
        """Those of `rows` that stand in the JWK Set."""
        for row in rows:
            if row.kid in self.verification:
                yield self.verification[row.kid]
            # Nobody should begin to encrypt to a key that is about to go.
            elif row.kid in self.decryption and row.state != "retiring":
                yield self.decryption[row.kid]


class KeyRing:
    """Signs with the active keys, and verifies with those that are published.

    What the store says is not believed on its own: a key counts only if its sealed parts open under
    a key-encryption key, so that who can write rows still cannot make a token that verifies.
    """

    __slots__ = ("_contents", "_life_cycle", "_older", "_recent")

    def __init__(self, life_cycle: LifeCycle) -> None:
        """Make an empty ring; `open` is the way to a usable one."""
        self._life_cycle = life_cycle
        self._contents = _Contents()
        self._recent: dict[tuple[str, str, tuple[str, ...]], dict[str, Any]] = {}
        self._older: dict[tuple[str, str, tuple[str, ...]], dict[str, Any]] = {}

    def __repr__(self) -> str:
        return f"KeyRing(kids={sorted(self._contents.accepted)!r})"

    @classmethod
    async def open(cls, life_cycle: LifeCycle, now: int) -> Self:
        """Load the keys and secrets, and create those that are missing.

        Safe when several workers open at once: all end with the same keys. Raises `SealError`
        under a wrong key-encryption key, `HsmError`, and `storage.errors.StoreError`.
        """
        ring = cls(life_cycle)
        await ring.reload(now)
        return ring

    async def reload(self, now: int) -> None:
        """Take over what changed in the store since the last time, and create what is missing.

        Raises as `open` does. What does not open is left out, so that it cannot keep a revocation
        of something else from counting; when the store does not answer, all stays as it was.
        """
        life_cycle = self._life_cycle
        rows = await life_cycle.complete(now)
        secret_rows = await server_secrets.complete(life_cycle.store, life_cycle.sealer, now)
        faults: list[SealError | HsmError] = []
        self._contents = await self._load(rows, secret_rows, now, faults)
        # A key that counted a moment ago may have been revoked.
        self._recent, self._older = {}, {}
        if faults:
            raise faults[0]

    async def tend(self, now: int) -> None:
        """Do what is due in the life of the keys and secrets; costs nothing when nothing is."""
        contents = self._contents
        store = self._life_cycle.store
        settled_at = contents.secrets.settled_at
        if settled_at is not None and settled_at <= now:
            await self.reload(now)
        changed = await server_secrets.tend(store, contents.secret_rows, now)
        try:
            changed |= await self._life_cycle.advance(contents.rows, now)
        except HsmError:
            # What needs no module has been done before it was asked.
            changed = True
            raise
        finally:
            if changed:
                await self.reload(now)

    async def sign(self, claims: Mapping[str, object], *, alg: str, typ: str) -> str:
        """Return `claims` as a JWT signed with the active key of `alg`, of the media type `typ`.

        An algorithm that was withdrawn from the settings signs until its keys are retired. Raises
        `SigningUnavailable`.
        """
        key = self._contents.active.get(alg)
        if key is None:
            raise SigningUnavailable(f"no key of ours signs with {alg}")
        return await key.sign(msgspec.json.encode(claims), typ=typ)

    def verify(self, token: str, *, typ: str, algs: tuple[str, ...]) -> Mapping[str, Any]:
        """Return the claims of `token` if this provider signed it as a `typ` with one of `algs`.

        Proves the form, the header and the signature; `exp`, `iss` and `aud` are the caller's to
        judge. A token that was proven is remembered for a while. Raises `InvalidToken`.
        """
        asked = (token, typ, algs)
        known = self._recent.get(asked) or self._older.get(asked)
        if known is not None:
            return known
        contents = self._contents
        claims = signing.verify(token, keys=contents.accepted, typ=typ, algs=algs)
        if len(self._recent) == _MOST_REMEMBERED:
            self._recent, self._older = {}, self._recent
        self._recent[asked] = claims
        return claims

    def verify_past(self, token: str, *, typ: str, algs: tuple[str, ...]) -> Mapping[str, Any]:
        """Do the same for a token that may be old: a retired key may have signed it."""
        return signing.verify(token, keys=self._contents.verification, typ=typ, algs=algs)

    def decrypt(self, token: str) -> bytes:
        """Return what somebody encrypted to one of our encryption keys. Raises `InvalidToken`."""
        for key in self._contents.decryption.values():
            with contextlib.suppress(InvalidToken):
                return key.decrypt(token)
        raise InvalidToken("no key of ours decrypts it")

    def jwks(self) -> Mapping[str, Any]:
        """Return the JWK Set with the public part of every published key (RFC 7517 5)."""
        return self._contents.jwks

    def algorithms(self) -> tuple[str, ...]:
        """Return the `alg` values that clients may register for."""
        return self._life_cycle.settings.algorithms

    def secret(self, name: str) -> bytes:
        """Return the version of a server secret that is to be used, 32 bytes.

        Raises `KeyError` for a name that is not in `SERVER_SECRETS`.
        """
        return next(iter(self._contents.secrets.versions[name].values()))

    def secrets(self, name: str) -> Mapping[int, bytes]:
        """Return every version of a server secret that may be met; the one to use comes first."""
        return self._contents.secrets.versions[name]

    @property
    def client_secrets(self) -> ClientSecretSealer:
        """What seals and opens the secrets of clients that the server must know in the clear."""
        return ClientSecretSealer(self._life_cycle.sealer)

    async def _load(
        self,
        rows: Sequence[SigningKeyRow],
        secret_rows: Sequence[ServerSecretRow],
        now: int,
        faults: list[SealError | HsmError],
    ) -> _Contents:
        loaded = _Loaded(self._contents, self._life_cycle)
        for row in rows:
            try:
                await loaded.take(row)
            except (SealError, HsmError) as error:
                faults.append(error)
        secrets = self._contents.secrets
        try:
            secrets = server_secrets.unsealed(
                secret_rows,
                self._life_cycle.sealer,
                propagation=self._life_cycle.settings.propagation,
                now=now,
            )
        except SealError as error:
            faults.append(error)

        published = [row for row in rows if row.state in _PUBLISHED]
        published.sort(key=lambda row: (_PUBLISHED.index(row.state), row.alg, row.kid))
        return _Contents(
            rows=rows,
            signing=loaded.signing,
            verification=loaded.verification,
            decryption=loaded.decryption,
            active={
                row.alg: loaded.signing[row.kid]
                for row in rows
                if row.state == "active" and row.kid in loaded.signing
            },
            accepted={
                row.kid: loaded.verification[row.kid]
                for row in published
                if row.kid in loaded.verification
            },
            jwks={"keys": [dict(key.public_jwk) for key in loaded.published(published)]},
            secret_rows=secret_rows,
            secrets=secrets,
        )
