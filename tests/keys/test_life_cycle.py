"""Rotation by any node: who is due, when, and that it happens once."""

import asyncio

import pytest

from keys.errors import HsmError
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from storage import outcomes as o
from storage.store import Store
from tests.keys.rings import (
    DAY,
    LIFETIME,
    NOW,
    OPERATOR,
    PERIOD,
    SETTINGS,
    life_cycle,
    open_ring,
    row_of,
)


async def test_a_rotation_is_planned_a_period_ahead_give_or_take_a_twentieth(
    fresh_store: Store,
) -> None:
    await open_ring(fresh_store)

    planned = {row.activates_at for row in await fresh_store.signing_keys() if row.state == "next"}

    assert len(planned) == 3  # they do not all turn at once
    for at in planned:
        assert at is not None
        assert abs(at - NOW - PERIOD) <= PERIOD // 20


async def test_keys_turn_by_themselves_again_and_again(fresh_store: Store) -> None:
    ring = await open_ring(fresh_store)
    signed_with = []
    for _ in range(4):
        waiting = await row_of(fresh_store, "next")
        assert waiting.activates_at is not None
        await ring.tend(waiting.activates_at)
        active = await row_of(fresh_store, "active")
        assert active.kid == waiting.kid
        signed_with.append(active.kid)
        assert (await row_of(fresh_store, "next")).created_at == waiting.activates_at

    assert len(set(signed_with)) == 4


async def test_of_many_nodes_one_turns_a_key_and_the_others_see_it(fresh_store: Store) -> None:
    rings = [await open_ring(fresh_store) for _ in range(8)]
    waiting = await row_of(fresh_store, "next")

    await asyncio.gather(*(ring.tend(NOW + PERIOD + PERIOD // 20) for ring in rings))

    assert (await row_of(fresh_store, "active")).kid == waiting.kid
    assert len([row for row in await fresh_store.signing_keys() if row.alg == "ES256"]) == 3
    assert len({tuple(key["kid"] for key in ring.jwks()["keys"]) for ring in rings}) == 1


async def test_every_node_plans_the_same(fresh_store: Store) -> None:
    first = await open_ring(fresh_store)
    before = await fresh_store.signing_keys()

    await open_ring(fresh_store, now=NOW + 10 * DAY)
    await first.reload(NOW + 11 * DAY)

    assert await fresh_store.signing_keys() == before


@pytest.mark.parametrize("period", [7 * DAY, 90 * DAY])
async def test_another_period_in_the_settings_changes_the_plan(
    fresh_store: Store, period: int
) -> None:
    await open_ring(fresh_store)

    others = await row_of(fresh_store, "next", "EdDSA")

    for now in (NOW + 60, NOW + 120):
        await KeyRing.open(life_cycle(fresh_store, rotation={"ES256": period}), now)
        at = (await row_of(fresh_store, "next")).activates_at
        assert at is not None
        assert abs(at - NOW - period) <= period // 20
    assert await row_of(fresh_store, "next", "EdDSA") == others


async def test_a_plan_that_is_overdue_under_a_shorter_period_is_kept_safe_and_not_put_off(
    fresh_store: Store,
) -> None:
    await open_ring(fresh_store)
    late = NOW + 20 * DAY

    for now in (late, late + 5, late + 9):
        await KeyRing.open(life_cycle(fresh_store, rotation={"ES256": DAY}), now)
        assert (await row_of(fresh_store, "next")).activates_at == late + 10


async def test_rotation_may_be_left_to_commands(fresh_store: Store) -> None:
    await open_ring(fresh_store)

    ring = await KeyRing.open(life_cycle(fresh_store, rotation={"ES256": 0}), NOW)
    assert (await row_of(fresh_store, "next")).activates_at is None

    before = await row_of(fresh_store, "active")
    await ring.tend(NOW + 100 * PERIOD)
    assert (await row_of(fresh_store, "active")).kid == before.kid


async def test_what_an_operator_ordered_is_not_planned_away(fresh_store: Store) -> None:
    await open_ring(fresh_store)
    keys = life_cycle(fresh_store)
    waiting = await row_of(fresh_store, "next")
    at = NOW + 3 * DAY

    ordered = await keys.schedule(waiting.kid, activates_at=at, force=False, by=OPERATOR, now=NOW)
    await open_ring(fresh_store, now=NOW + DAY)

    assert ordered == o.Changed()
    assert (await row_of(fresh_store, "next")).activates_at == at


async def test_the_earliest_safe_time_is_accepted_and_a_second_earlier_is_not(
    fresh_store: Store,
) -> None:
    await open_ring(fresh_store)
    keys = life_cycle(fresh_store)
    waiting = await row_of(fresh_store, "next")
    earliest = keys.earliest(waiting, NOW + 1)

    async def schedule(at: int) -> o.KeyChange:
        return await keys.schedule(
            waiting.kid, activates_at=at, force=False, by=OPERATOR, now=NOW + 1
        )

    assert await schedule(earliest - 1) == o.TooSoon(earliest)
    assert await schedule(earliest) == o.Changed()


async def test_shorter_lifetimes_do_not_shorten_what_tokens_were_promised(
    fresh_store: Store,
) -> None:
    await open_ring(fresh_store)
    longer = LifeCycle(fresh_store, life_cycle(fresh_store).sealer, SETTINGS, 7200)
    ring = await KeyRing.open(longer, NOW)
    await ring.tend(NOW)

    shorter = await open_ring(fresh_store)
    waiting = await row_of(fresh_store, "next")
    assert waiting.activates_at is not None
    await shorter.tend(waiting.activates_at)

    retires_at = (await row_of(fresh_store, "retiring")).retires_at
    assert retires_at == waiting.activates_at + 7200 + 10


async def test_without_a_module_no_key_is_made_in_one(fresh_store: Store) -> None:
    with pytest.raises(HsmError, match=r"\[hsm\]"):
        await life_cycle(fresh_store).new_key("ES256", hsm=True, now=NOW)


async def test_withdrawn_algorithms_do_not_turn(fresh_store: Store) -> None:
    await open_ring(fresh_store)
    before = [row for row in await fresh_store.signing_keys() if row.alg == "EdDSA"]
    ring = await KeyRing.open(life_cycle(fresh_store, algorithms=("ES256",)), NOW)

    await ring.tend(NOW + 2 * PERIOD)

    assert [row for row in await fresh_store.signing_keys() if row.alg == "EdDSA"] == before
    assert (await row_of(fresh_store, "active")).activated_at == NOW + 2 * PERIOD


async def test_tokens_live_as_long_as_the_longest_of_them(fresh_store: Store) -> None:
    await open_ring(fresh_store)

    assert {row.token_lifetime for row in await fresh_store.signing_keys()} == {LIFETIME}
