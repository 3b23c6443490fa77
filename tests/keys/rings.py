"""Rings of a few algorithms, on a store of the test's own."""

import secrets
from collections.abc import Mapping
from dataclasses import replace

from conf.settings import KeySettings
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import Sealer
from storage.records import By, SigningKeyRow
from storage.store import Store

NOW = 1_700_000_000
DAY = 86_400
PERIOD = 30 * DAY
LIFETIME = 600
SEALER = Sealer({"tests": secrets.token_bytes(32)})
SETTINGS = KeySettings(algorithms=("ES256", "EdDSA"))
OPERATOR = By("anna@bastion", "drill")


def life_cycle(
    store: Store,
    sealer: Sealer = SEALER,
    *,
    algorithms: tuple[str, ...] = SETTINGS.algorithms,
    rotation: Mapping[str, int] | None = None,
) -> LifeCycle:
    changed = {**SETTINGS.rotation, **(rotation or {})}
    settings = replace(SETTINGS, algorithms=algorithms, rotation=changed)
    return LifeCycle(store, sealer, settings, LIFETIME)


async def open_ring(store: Store, sealer: Sealer = SEALER, now: int = NOW) -> KeyRing:
    return await KeyRing.open(life_cycle(store, sealer), now)


async def row_of(store: Store, state: str, alg: str = "ES256") -> SigningKeyRow:
    (row,) = [row for row in await store.signing_keys() if (row.alg, row.state) == (alg, state)]
    return row


async def rotate(store: Store, now: int, alg: str = "ES256") -> None:
    """Let the next key sign from `now` on."""
    keys = life_cycle(store)
    waiting = await row_of(store, "next", alg)
    await keys.schedule(waiting.kid, activates_at=now, force=True, by=OPERATOR, now=now)
    await keys.turn(await row_of(store, "next", alg), by=OPERATOR, now=now)
