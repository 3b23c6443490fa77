"""A rotation that nobody could be told of is no replay when it is repeated."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from storage import outcomes as o
from storage.errors import Uncertain
from storage.store import Store
from tests.storage.builders import LIFETIMES, NOW, at_once, kinds, open_grant
from tests.storage.elsewhere.replicated.three import tells, to
from tests.storage.nodes import Nodes

LONGEST_CALL = 5  # seconds


@contextlib.asynccontextmanager
async def silent(nodes: Nodes) -> AsyncIterator[None]:
    """Without an acknowledgement of anybody, until no call waits for one any more."""
    nodes["b"].freeze()
    nodes["c"].freeze()
    try:
        yield
        await asyncio.sleep(1)
    finally:
        nodes["b"].thaw()
        nodes["c"].thaw()


async def test_the_grace_begins_when_a_rotation_can_be_told(nodes: Nodes, store: Store) -> None:
    # RFC 9700 4.14.2 ends a grant whose token is replayed; nobody has what was never told.
    tried, not_again, known = await at_once(open_grant(store) for _ in range(3))
    await known.rotate(store, known.token, now=NOW - 2)
    grace, end = LIFETIMES.refresh_grace, NOW + 60
    async with silent(nodes), to(nodes["a"], patience=1) as impatient:
        for grant in (tried, not_again):
            with pytest.raises(Uncertain):
                await grant.rotate(impatient, grant.token, now=NOW)
        with pytest.raises(Uncertain):
            await tried.rotate(impatient, tried.token, now=NOW + grace)
    await store.ready(now=end)

    assert isinstance(await tried.rotate(store, tried.token, now=end + grace - 1), o.Rotated)
    assert await not_again.rotate(store, not_again.token, now=end + grace) == o.Replayed()
    assert await known.rotate(store, known.token, now=end) == o.Replayed()


async def test_a_second_outage_soon_after_the_first_prolongs_what_was_not_told(
    nodes: Nodes, store: Store
) -> None:
    grant, told_between = await at_once(open_grant(store) for _ in range(2))
    async with to(nodes["a"], patience=1) as impatient:
        async with silent(nodes):
            with pytest.raises(Uncertain):
                await grant.rotate(impatient, grant.token, now=NOW)
        await store.ready(now=NOW + 20)
        await told_between.rotate(store, told_between.token, now=NOW + 22)
        async with silent(nodes):
            with pytest.raises(Uncertain):
                await impatient.ready(now=NOW + 25)
    await store.ready(now=NOW + 50)

    assert isinstance(await grant.rotate(store, grant.token, now=NOW + 55), o.Rotated)
    again = await told_between.rotate(store, told_between.token, now=NOW + 55)
    assert again == o.Replayed()


async def test_a_call_that_waited_for_long_does_not_end_it_early(
    nodes: Nodes, store: Store
) -> None:
    grant = await open_grant(store)
    end = NOW + 4
    async with silent(nodes), to(nodes["a"], patience=1) as impatient:
        with pytest.raises(Uncertain):
            await grant.rotate(impatient, grant.token, now=NOW + 1)
        with pytest.raises(Uncertain):
            await impatient.ready(now=end)
        waiting = asyncio.create_task(store.ready(now=NOW))
    await waiting

    again = await grant.rotate(store, grant.token, now=end + LIFETIMES.refresh_grace - 1)
    assert isinstance(again, o.Rotated)


@pytest.mark.parametrize("dies", [True, False], ids=["dies", "hands over"])
async def test_what_a_writer_could_not_tell_is_no_replay_at_the_next_one(
    nodes: Nodes, store: Store, *, dies: bool
) -> None:
    tried, not_again, known = await at_once(open_grant(store) for _ in range(3))
    await known.rotate(store, known.token, now=NOW - 2)
    grace, end = LIFETIMES.refresh_grace, NOW + 3600
    for _ in range(2):
        await store.session_read("nobody", now=NOW)
    async with to(nodes["a"], patience=0.5) as impatient:
        nodes["b"].freeze()
        nodes["c"].freeze()
        answers = await asyncio.gather(
            *(grant.rotate(impatient, grant.token, now=NOW) for grant in (tried, not_again)),
            return_exceptions=True,
        )
        assert kinds(answers) == {Uncertain: 2}
    if dies:
        nodes["a"].kill()
    nodes["b"].thaw()
    nodes["c"].thaw()
    for grant in (tried, not_again):
        await tells(nodes["b"], f"return box.space.refresh:get('{grant.grant_id}').rotated_at", NOW)
    await nodes.promote("b")
    await store.ready(now=end)

    assert isinstance(await tried.rotate(store, tried.token, now=end + grace - 1), o.Rotated)
    assert await not_again.rotate(store, not_again.token, now=end + grace) == o.Replayed()
    assert await known.rotate(store, known.token, now=end) == o.Replayed()


async def test_a_clock_that_is_ahead_does_not_prolong_the_grace_for_as_long(
    nodes: Nodes, store: Store
) -> None:
    stolen = await open_grant(store)
    async with silent(nodes), to(nodes["a"], patience=1) as impatient:
        with pytest.raises(Uncertain):
            await impatient.ready(now=NOW)
    await store.ready(now=NOW + 3600)  # a worker's whose clock is wrong
    await stolen.rotate(store, stolen.token, now=NOW + 10)
    await asyncio.sleep(LONGEST_CALL + 0.5)
    await store.ready(now=NOW + 20)

    again = await stolen.rotate(store, stolen.token, now=NOW + 30)
    assert again == o.Replayed()


async def test_the_next_writer_hears_of_the_callers_clocks_alone(
    nodes: Nodes, store: Store
) -> None:
    for _ in range(2):
        await store.session_read(
            "nobody", now=1_000_000_000
        )  # long before what a node's clock says
    assert await nodes["a"].eval("return box.space.heartbeat:get(2).at") == 1_000_000_000
