"""The provider's keys and server secrets, held open in memory by each worker."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import msgspec

from keys import sealed_keys, server_secrets, signing
from keys.client_secrets import ClientSecretSealer
from keys.encryption import DecryptionKey
from keys.errors import HsmError, InvalidToken, KeysError, SealError, SigningUnavailable
from keys.life_cycle import ENCRYPTION_ALG, LifeCycle
from keys.server_secrets import Opened
from keys.signing import ALGORITHMS, Signer, SigningKey, VerificationKey
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
    faults: tuple[KeysError, ...] = ()
    in_module: Sequence[SigningKeyRow] = ()  # keys to sign with that are not open yet


class _Loaded:
    """Keys as they are opened, row by row; what was open before is taken over."""

    def __init__(self, before: _Contents, life_cycle: LifeCycle) -> None:
        self._before = before
        self._life_cycle = life_cycle
        self.signing: dict[str, Signer] = {}
        self.verification: dict[str, VerificationKey] = {}
        self.decryption: dict[str, DecryptionKey] = {}
        self.in_module: list[SigningKeyRow] = []

    async def take(self, row: SigningKeyRow) -> None:
        """Open a key as far as its state lets it count. Raises KeysError."""
        before, sealer = self._before, self._life_cycle.sealer
        if row.use == "enc" and row.alg == ENCRYPTION_ALG:
            if row.state in _PUBLISHED:
                known = before.decryption.get(row.kid)
                self.decryption[row.kid] = known or sealed_keys.open_decryption(row, sealer)
        # A newer version of the server, running beside this one, may know other kinds and states.
        elif row.use == "sig" and row.alg in ALGORITHMS and row.state in (*_PUBLISHED, "retired"):
            # What was revoked and put back has lost its sealed part for good.
            proof = before.verification.get(row.kid) if row.sealed_public else None
            self.verification[row.kid] = proof or sealed_keys.open_verification(row, sealer)
            if row.state in ("active", "next"):
                await self._take_to_sign(row)

    async def _take_to_sign(self, row: SigningKeyRow) -> None:
        known = self._before.signing.get(row.kid)
        if known is not None:
            self.signing[row.kid] = known
        elif row.hsm:
            self.in_module.append(row)
        else:
            sealer = self._life_cycle.sealer
            self.signing[row.kid] = await asyncio.to_thread(sealed_keys.open_signing, row, sealer)

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

    __slots__ = ("_contents", "_life_cycle", "_older", "_recent", "_reloading")

    def __init__(self, life_cycle: LifeCycle) -> None:
        """Make an empty ring; `open` is the way to a usable one."""
        self._life_cycle = life_cycle
        self._contents = _Contents()
        self._reloading = asyncio.Lock()
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
        await ring.reload(now, plan=True)
        if ring.faults:
            raise ring.faults[0]
        # A key may be due, or must remember that tokens live longer from now on.
        await ring.tend(now)
        return ring

    @property
    def faults(self) -> tuple[KeysError, ...]:
        """Why some of what is in the store cannot be used."""
        return self._contents.faults

    async def reload(self, now: int, *, plan: bool = False) -> None:
        """Take over what changed in the store since the last time, and create what is missing.

        What does not open is left out and told by `faults`, so that it cannot keep a revocation of
        something else from counting; keys in the hardware security module are left to `tend`.
        Raises `StoreError`: what was taken over by then counts.
        """
        life_cycle = self._life_cycle
        store = life_cycle.store
        # What was read first must not replace what was read later.
        async with self._reloading:
            rows, secret_rows = await store.signing_keys(), await store.server_secrets()
            await self._take_over(rows, secret_rows, now)
            complete = await life_cycle.complete(rows, now, plan=plan)
            all_secrets = await server_secrets.complete(store, secret_rows, life_cycle.sealer, now)
            if (complete, all_secrets) != (rows, secret_rows):
                await self._take_over(complete, all_secrets, now)

    async def tend(self, now: int) -> None:
        """Do what is due in the life of the keys and secrets; costs nothing when nothing is.

        Waits for a hardware security module, if need be for seconds, which `reload` does not.
        Raises KeysError after all that needs no module.
        """
        contents = self._contents
        store = self._life_cycle.store
        settled_at = contents.secrets.settled_at
        changed = settled_at is not None and settled_at <= now
        changed |= await server_secrets.tend(store, contents.secret_rows, now)
        opened = [await self._open_in_module(row) for row in contents.in_module]
        failures = [failure for failure in opened if failure is not None]
        try:
            changed |= await self._life_cycle.advance(contents.rows, now)
        except HsmError as error:
            changed = True
            failures.append(error)
        if changed:
            await self.reload(now)
        if failures:
            raise failures[0]

    async def _open_in_module(self, row: SigningKeyRow) -> KeysError | None:
        try:
            key = await self._life_cycle.open_in_module(row)
        except KeysError as error:
            return error
        # Others may have reloaded meanwhile, and the key may have been revoked.
        contents = self._contents
        if row in contents.in_module:
            signing = {**contents.signing, row.kid: key}
            self._contents = replace(
                contents,
                signing=signing,
                active={**contents.active, **_active(contents.rows, signing)},
                in_module=[it for it in contents.in_module if it != row],
            )
        return None

    async def prove(self) -> None:
        """Let every key that signs elsewhere sign something, to know whether it can.

        Raises `SigningUnavailable` after all have been tried.
        """
        failure = None
        for key in self._contents.active.values():
            if not isinstance(key, SigningKey):
                try:
                    await key.signature(b"proof")
                except SigningUnavailable as error:
                    failure = error
        if failure is not None:
            raise failure

    def must_sign(self, *algs: str) -> None:
        """Raise `SigningUnavailable` unless `sign` can be expected to work with each of `algs`."""
        for alg in algs:
            key = self._contents.active.get(alg)
            if key is None or not key.ready:
                raise SigningUnavailable(f"no key of ours signs with {alg} at this moment")

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

    async def _take_over(
        self, rows: Sequence[SigningKeyRow], secret_rows: Sequence[ServerSecretRow], now: int
    ) -> None:
        loaded = _Loaded(self._contents, self._life_cycle)
        faults: list[KeysError] = []
        for row in rows:
            try:
                await loaded.take(row)
            except KeysError as error:
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
        self._contents = _Contents(
            rows=rows,
            signing=loaded.signing,
            verification=loaded.verification,
            decryption=loaded.decryption,
            active=self._still_signing(loaded) | _active(rows, loaded.signing),
            accepted={
                row.kid: loaded.verification[row.kid]
                for row in published
                if row.kid in loaded.verification
            },
            jwks={"keys": [dict(key.public_jwk) for key in loaded.published(published)]},
            secret_rows=secret_rows,
            secrets=secrets,
            faults=tuple(faults),
            in_module=loaded.in_module,
        )
        # A key that counted a moment ago may have been revoked.
        self._recent, self._older = {}, {}

    def _still_signing(self, loaded: _Loaded) -> dict[str, Signer]:
        """Those that sign until their successor in the module is open: they verify for so long."""
        active = self._contents.active
        return {
            row.alg: active[row.alg]
            for row in loaded.in_module
            if row.state == "active"
            and row.alg in active
            and active[row.alg].kid in loaded.verification
        }


def _active(rows: Sequence[SigningKeyRow], signing_keys: Mapping[str, Signer]) -> dict[str, Signer]:
    return {
        row.alg: signing_keys[row.kid]
        for row in rows
        if row.state == "active" and row.kid in signing_keys
    }
