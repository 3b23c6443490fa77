"""A writer is lost, and another node leads: what was acknowledged is there, and nothing else is."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import pytest

from conf.model import Address
from storage import migrations
from storage import outcomes as o
from storage.errors import NodeError, StoreError, Unavailable, Uncertain
from storage.replica_set import NodeState, ReplicaSet
from storage.store import Store
from tests.storage.builders import (
    NOW,
    at_once,
    issue_code,
    kinds,
    open_grant,
)
from tests.storage.elsewhere.replicated.three import (
    CUSTOMERS,
    PATIENCE,
    Customers,
    becomes,
    rejoined,
    to,
)
from tests.storage.nodes import OWNER_PASSWORD, Nodes


async def follows(nodes: Nodes, name: str, leader: str) -> None:
    await becomes(nodes, name, lambda state: state.following == leader)


Harm = Callable[[Nodes], None]


def killed(nodes: Nodes) -> None:
    nodes["a"].kill()


def frozen(nodes: Nodes) -> None:
    nodes["a"].freeze()


def cut(nodes: Nodes) -> None:
    nodes.isolate("a")


def beyond(nodes: Nodes) -> ReplicaSet:
    """What an operator sees who does not reach the old writer."""
    nowhere = Address("127.0.0.1", 1)
    return ReplicaSet([nowhere, nodes["b"].address, nodes["c"].address], OWNER_PASSWORD)


async def promote_beyond(nodes: Nodes) -> NodeState:
    return await beyond(nodes).promote(by="a test", reason="to see")


@pytest.mark.parametrize("harm", [killed, frozen, cut])
async def test_no_answer_is_lost_and_no_patient_request_fails(
    nodes: Nodes, store: Store, harm: Harm
) -> None:
    customers = await Customers.sign_in(store)

    async with customers.at_work():
        await customers.go_on()
        harm(nodes)
        await asyncio.sleep(0.3)
        await promote_beyond(nodes)
        await customers.go_on()

    await customers.use_all()
    assert customers.longest < PATIENCE


async def test_the_new_writer_is_found_within_a_second(nodes: Nodes, store: Store) -> None:
    await store.ready(now=NOW)
    nodes["a"].freeze()
    await promote_beyond(nodes)
    promoted = time.monotonic()

    await store.ready(now=NOW)

    assert time.monotonic() - promoted < 1


async def test_a_frozen_writer_that_wakes_answers_nobody(nodes: Nodes, store: Store) -> None:
    async with to(nodes["a"], patience=0.5) as old:
        grant = await open_grant(old)
        nodes["a"].freeze()
        asleep = asyncio.create_task(grant.alive(old))
        await promote_beyond(nodes)
        await grant.end_session(store)

        nodes["a"].thaw()
        answers = await asyncio.gather(
            asleep, *(grant.alive(old) for _ in range(50)), return_exceptions=True
        )

        assert all(isinstance(answer, StoreError) for answer in answers), kinds(answers)
        await becomes(nodes, "a", lambda state: not state.leads)


async def test_of_two_writers_only_one_acknowledges(nodes: Nodes, store: Store) -> None:
    async with to(nodes["a"], patience=1) as old:
        grants = await at_once(open_grant(old) for _ in range(CUSTOMERS))
        codes = await at_once(issue_code(old) for _ in range(CUSTOMERS))
        nodes.isolate("a")
        await promote_beyond(nodes)

        there, here = await asyncio.gather(
            asyncio.gather(
                *(code.redeem(old, attempt="there") for code in codes),
                *(grant.alive(old) for grant in grants),
                return_exceptions=True,
            ),
            at_once(code.redeem(store, attempt="here") for code in codes),
        )

        assert set(kinds(there)) <= {Unavailable, Uncertain}
        assert kinds(here) == {o.Redeemed: CUSTOMERS}


async def test_what_was_not_acknowledged_never_comes_back(nodes: Nodes, store: Store) -> None:
    async with to(nodes["a"], patience=1) as old:
        code = await issue_code(old)
        nodes.isolate("a")
        with pytest.raises(Uncertain):
            await code.redeem(old, attempt="never told")
        leader = await promote_beyond(nodes)

        assert nodes.links is not None
        nodes.links.heal()
        await becomes(nodes, "a", lambda state: state.outdated)

        assert isinstance(await code.redeem(store), o.Redeemed)
        await rejoined(nodes, "a")
        await follows(nodes, "a", leader.name)
        rows = "return box.space.code:select()"
        assert await nodes["a"].eval(rows) == await nodes[leader.name].eval(rows)


async def test_a_writer_that_returns_does_not_lead(nodes: Nodes, store: Store) -> None:
    nodes["a"].kill()
    nodes["a"].start()
    nodes["a"].wait()

    states = await nodes.replica_set.states()
    assert not any(state.leads for state in states.values())
    async with asyncio.timeout(5):
        with pytest.raises(StoreError):
            await store.ready(now=NOW)

    await nodes.promote()
    assert await store.ready(now=NOW) == len(migrations.names())


async def test_a_node_that_was_away_for_long_follows_or_joins_anew(
    nodes: Nodes, store: Store
) -> None:
    nodes["c"].kill()
    for name in ("b", "a", "b"):
        await nodes.promote(name)
    code = await issue_code(store)
    nodes["c"].start()
    nodes["c"].wait()

    await follows(nodes, "c", "b")
    await rejoined(nodes, "c")
    await follows(nodes, "c", "b")

    nodes["a"].kill()
    assert isinstance(await code.redeem(store), o.Redeemed)


async def test_leading_is_handed_over_without_a_failure(nodes: Nodes, store: Store) -> None:
    customers = await Customers.sign_in(store)

    async with customers.at_work():
        for name in ("b", "c", "a"):
            await customers.go_on()
            assert (await nodes.promote(name)).name == name

    await customers.use_all()


async def test_two_promotions_at_once_make_one_writer(nodes: Nodes, store: Store) -> None:
    nodes["a"].kill()

    await asyncio.gather(
        *(promote_beyond(nodes) for _ in range(3)),
        return_exceptions=True,
    )
    with contextlib.suppress(NodeError):
        await promote_beyond(nodes)

    states = await nodes.replica_set.states()
    assert [state.leads for state in states.values()].count(True) == 1
    assert await store.ready(now=NOW) == len(migrations.names())


async def test_a_minority_makes_nobody_lead(nodes: Nodes) -> None:
    nodes["a"].kill()
    nodes["b"].kill()

    with pytest.raises(NodeError, match="only 1 of 3 nodes answer, 2 must"):
        await nodes.promote()

    (state,) = (await nodes.replica_set.states()).values()
    assert (state.name, state.leads, state.promised) == ("c", False, 1)


async def test_a_leader_is_not_replaced_unless_another_one_is_named(nodes: Nodes) -> None:
    for name in (None, "a"):
        with pytest.raises(NodeError, match="a leads already"):
            await nodes.promote(name)
    with pytest.raises(NodeError, match="no node that is named x answers: there are a, b, c"):
        await nodes.promote("x")
    with pytest.raises(NodeError, match="a is the one that leads"):
        await nodes.rejoin("a")


# Bad days


async def test_without_a_replica_nothing_is_acknowledged_and_then_it_goes_on(
    nodes: Nodes, store: Store
) -> None:
    code = await issue_code(store)
    nodes["b"].kill()
    assert await store.ready(now=NOW) == len(migrations.names())
    nodes["c"].freeze()

    async with to(nodes["a"], patience=1) as impatient:
        with pytest.raises(Uncertain):
            await code.redeem(impatient, attempt="same")
        with pytest.raises(Uncertain):
            await impatient.session_read("nobody", now=NOW)
    waiting = asyncio.create_task(code.redeem(store, attempt="same"))
    nodes["c"].thaw()

    assert isinstance(await waiting, o.Redeemed)


async def test_a_repeat_waits_for_the_replica_too(nodes: Nodes) -> None:
    async with (
        to(nodes["a"], patience=0.7) as first,
        to(nodes["a"], patience=0.7) as second,
    ):
        code = await issue_code(first)
        nodes["b"].freeze()
        nodes["c"].freeze()

        answers = await asyncio.gather(
            *(code.redeem(at, attempt="same") for at in (first, second) for _ in range(10)),
            *(code.redeem(second, attempt=f"replay {place}") for place in range(10)),
            return_exceptions=True,
        )

        assert kinds(answers) == {Uncertain: 30}


Race = Callable[[Store], Awaitable[object]]


async def test_a_race_with_replication_pending_has_one_winner(nodes: Nodes, store: Store) -> None:
    code = await issue_code(store)
    nodes["b"].freeze()
    nodes["c"].freeze()
    racers = [asyncio.create_task(code.redeem(store, attempt=f"racer {n}")) for n in range(50)]
    await asyncio.sleep(0.3)
    nodes["b"].thaw()
    nodes["c"].thaw()

    answers = await asyncio.gather(*racers)

    assert kinds(answers) == {o.Redeemed: 1, o.Replayed: 49}
