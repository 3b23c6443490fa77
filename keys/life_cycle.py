"""The life of the keys: making them, rotating them on schedule, and what an operator may order.

The rules are the store's, and hold for every node at once; here keys are made, sealed and offered.
An algorithm in use has one active key and one next key, which is published long before it signs.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from conf.settings import KeySettings, Settings
from keys import sealed_keys
from keys.encryption import DecryptionKey
from keys.errors import HsmError
from keys.hashing import sha256
from keys.patience import within
from keys.sealing import Sealer
from keys.signing import Signer, SigningKey
from storage import outcomes as o
from storage.key_store import KeyStore
from storage.records import By, KeyPolicy, SigningKeyRow

if TYPE_CHECKING:
    from keys.hsm import Hsm

T = TypeVar("T")

ENCRYPTION_ALG = "ECDH-ES"
# So that not all keys of all installations turn in the same minute: this share, to and fro.
_JITTER = 0.05
MODULE_SECONDS = 5
"""How long the hardware security module may take to make, find or destroy a key."""


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """All that it takes to make keys and change their state.

    `token_lifetime` is that of the longest-lived token that is signed, in seconds. Every method
    raises StoreError, and those that make keys HsmError where the key belongs into the module.
    """

    store: KeyStore
    sealer: Sealer
    settings: KeySettings
    token_lifetime: int
    hsm: "Hsm | None" = None

    @classmethod
    def of(cls, settings: Settings, store: KeyStore, sealer: Sealer) -> Self:
        """As these settings say. Opens nothing yet."""
        lifetimes = settings.lifetimes
        hsm = None
        if settings.hsm is not None:
            # Its library takes a moment and some memory, and most installations have none.
            from keys.hsm import Hsm  # noqa: PLC0415

            hsm = Hsm(settings.hsm)
        return cls(
            store=store,
            sealer=sealer,
            settings=settings.keys,
            token_lifetime=max(lifetimes.access_token, lifetimes.id_token),
            hsm=hsm,
        )

    def close(self) -> None:
        """Leave the hardware security module. Blocks, but for a module that never answers."""
        if self.hsm is not None:
            closing = threading.Thread(target=self.hsm.close, name="hsm-close", daemon=True)
            closing.start()
            closing.join(MODULE_SECONDS)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """Every algorithm in use: those that sign, and that of our own encryption key."""
        return (*self.settings.algorithms, ENCRYPTION_ALG)

    @property
    def policy(self) -> KeyPolicy:
        """What the store holds every change to."""
        return policy_of(self.settings)

    async def complete(
        self, rows: list[SigningKeyRow], now: int, *, plan: bool = False
    ) -> list[SigningKeyRow]:
        """Every key, after making those that are missing from `rows`.

        With `plan` what was planned under other settings is brought in line with these. Not each
        time: two servers whose settings differ would go on correcting each other.
        """
        for alg in self.algorithms:
            if not {"active", "next"} <= {row.state for row in rows if row.alg == alg}:
                active, waiting = await asyncio.gather(
                    self.new_key(alg, now=now), self.new_key(alg, now=now)
                )
                rows = await self.store.signing_keys_begin(
                    active, waiting, policy=self.policy, now=now
                )
        if plan and await self._plan(rows, now):
            rows = await self.store.signing_keys()
        return rows

    async def advance(self, rows: Sequence[SigningKeyRow], now: int) -> bool:
        """Do what is due; whether anything was. Of many nodes that do so at once one wins."""
        tended = self._needs_tending(rows, now) and await self.store.signing_keys_tend(
            token_lifetime=self.token_lifetime, policy=self.policy, now=now
        )
        due = [row for row in rows if row.alg in self.algorithms and is_due(row, now)]
        # A hardware security module that does not answer holds up its own keys alone.
        for row in sorted(due, key=lambda row: row.hsm):
            await self.turn(row, by=By(), now=now)
        return bool(tended or due) | await self._forget(rows, now)

    async def turn(self, due: SigningKeyRow, *, by: By, now: int) -> o.KeyChange:
        """Let a next key that is due become the active one, with a successor."""
        successor = await self.new_key(due.alg, hsm=due.hsm, now=now)
        outcome = await self.store.signing_key_turn(
            due.kid, successor=successor, policy=self.policy, by=by, now=now
        )
        await self._discard_unused(successor)
        return outcome

    def earliest(self, row: SigningKeyRow, now: int) -> int:
        """When a next key may begin to sign without anybody being unable to verify it."""
        policy = self.policy
        return max(row.created_at + policy.publish_ahead, now + 2 * policy.propagation)

    async def schedule(
        self, kid: str, *, activates_at: int, force: bool, by: By, now: int
    ) -> o.KeyChange:
        """Order when a next key begins to sign, `activates_at` in Unix seconds."""
        return await self.store.signing_key_schedule(
            kid,
            activates_at=activates_at,
            ordered=True,
            force=force,
            policy=self.policy,
            by=by,
            now=now,
        )

    async def replace(self, successor: SigningKeyRow, *, by: By, now: int) -> o.KeyChange:
        """Put another key in the place of an algorithm's next one."""
        outcome = await self.store.signing_key_replace(
            successor, policy=self.policy, by=by, now=now
        )
        await self._discard_unused(successor)
        return outcome

    async def retire(self, row: SigningKeyRow, *, force: bool, by: By, now: int) -> o.KeyChange:
        """Retire a retiring key before its time, a next key, or a withdrawn algorithm's keys."""
        successor = await self._successor(row, now) if row.state == "next" else None
        outcome = await self.store.signing_key_retire(
            row.kid,
            successor=successor,
            withdrawn=row.alg not in self.algorithms,
            force=force,
            policy=self.policy,
            by=by,
            now=now,
        )
        await self._discard_unused(successor)
        return outcome

    async def revoke(self, row: SigningKeyRow, *, by: By, now: int) -> o.KeyChange:
        """End all trust in a key; the next one signs at once if it was the active one."""
        successor = await self._successor(row, now)
        outcome = await self.store.signing_key_revoke(
            row.kid, successor=successor, policy=self.policy, by=by, now=now
        )
        await self._discard_unused(successor)
        return outcome

    async def new_key(self, alg: str, *, hsm: bool = False, now: int) -> SigningKeyRow:
        """A new key as the row of a next one. Raises HsmError if there is no such module."""
        if hsm:
            return self.as_next(await self._in_module(self._generate_in_module, alg), now)
        return self.as_next(await asyncio.to_thread(_generate, alg), now)

    def as_next(self, key: Signer | DecryptionKey, now: int) -> SigningKeyRow:
        """The row of a next key, planned and sealed."""
        return msgspec.structs.replace(
            sealed_keys.seal(key, self.sealer, now),
            token_lifetime=self.token_lifetime,
            activates_at=self._planned(key.kid, key.alg, now),
        )

    def _generate_in_module(self, alg: str) -> Signer:
        if self.hsm is None:
            raise HsmError("there is no hardware security module in the settings ([hsm])")
        if alg == ENCRYPTION_ALG:
            raise HsmError("only signing keys live in the hardware security module")
        return self.hsm.generate(alg)

    async def _in_module(self, work: Callable[..., T], *arguments: Any) -> T:
        """What the module does, or HsmError when it does not answer in time."""
        try:
            return await within(MODULE_SECONDS, work, *arguments)
        except TimeoutError:
            raise HsmError(
                f"the hardware security module has not answered for {MODULE_SECONDS} seconds"
            ) from None

    async def open_in_module(self, row: SigningKeyRow) -> Signer:
        """The key of a row whose private part is in the module. Raises SealError and HsmError."""
        return await self._in_module(sealed_keys.open_in_module, row, self.sealer, self.hsm)

    async def _successor(self, row: SigningKeyRow, now: int) -> SigningKeyRow | None:
        if row.state not in ("active", "next") or row.alg not in self.algorithms:
            return None
        return await self.new_key(row.alg, hsm=row.hsm, now=now)

    async def _discard_unused(self, offered: SigningKeyRow | None) -> None:
        """Leave nothing in the hardware security module of a key that the store did not take."""
        if offered is None or not offered.hsm or self.hsm is None:
            return
        if not any(row.kid == offered.kid for row in await self.store.signing_keys()):
            await self._in_module(self.hsm.destroy, offered.kid)

    def _planned(self, kid: str, alg: str, since: int) -> int | None:
        """When a key turns whose predecessor is active `since`: the same on every node."""
        period = self.settings.rotation[alg]
        if period == 0:
            return None
        chance = int.from_bytes(sha256(kid)[:4], "big") / 2**32
        return since + round(period * (1 + _JITTER * (2 * chance - 1)))

    async def _plan(self, rows: Sequence[SigningKeyRow], now: int) -> bool:
        """Bring what was planned under other settings in line; whether anything was."""
        since = {row.alg: row.activated_at for row in rows if row.state == "active"}
        changed = False
        for row in rows:
            active_since = since.get(row.alg)
            if row.state != "next" or row.ordered or active_since is None:
                continue
            if row.alg not in self.algorithms:
                continue
            target = self._target(row, active_since, now)
            if target != row.activates_at:
                await self.store.signing_key_schedule(
                    row.kid,
                    activates_at=target,
                    ordered=False,
                    force=False,
                    policy=self.policy,
                    by=By(),
                    now=now,
                )
                changed = True
        return changed

    def _target(self, row: SigningKeyRow, active_since: int, now: int) -> int | None:
        planned = self._planned(row.kid, row.alg, active_since)
        if planned is None:
            return None
        published_long_enough = row.created_at + self.policy.publish_ahead
        if row.activates_at is not None and planned >= row.activates_at:
            return max(planned, published_long_enough)
        target = max(planned, self.earliest(row, now))
        # What is overdue must not be put off again each time that somebody looks.
        return target if row.activates_at is None else min(target, row.activates_at)

    def _needs_tending(self, rows: Sequence[SigningKeyRow], now: int) -> bool:
        return any(
            (row.state == "retiring" and row.retires_at is not None and row.retires_at <= now)
            or (row.state in ("active", "next") and row.token_lifetime < self.token_lifetime)
            for row in rows
        )

    async def _forget(self, rows: Sequence[SigningKeyRow], now: int) -> bool:
        """Destroy in the hardware security module what has left."""
        left = [row for row in rows if row.hsm and row.state not in ("active", "next")]
        if not left or self.hsm is None:
            return False
        for row in left:
            found = await self._in_module(self.hsm.destroy, row.kid)
            await self.store.signing_key_forgotten(row.kid, found=found, now=now)
        return True


def _generate(alg: str) -> Signer | DecryptionKey:
    return DecryptionKey.generate() if alg == ENCRYPTION_ALG else SigningKey.generate(alg)


def policy_of(settings: KeySettings) -> KeyPolicy:
    """What the store holds every change of a key to, under these settings."""
    # A worker may give out the JWK Set of before for as long as a change takes to reach it.
    return KeyPolicy(settings.jwks_max_age + settings.propagation, settings.propagation)


def is_due(row: SigningKeyRow, now: int) -> bool:
    """Whether a key that waits is to begin now."""
    return row.state == "next" and row.activates_at is not None and row.activates_at <= now
