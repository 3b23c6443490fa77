"""A writer is lost, and another node leads: what was acknowledged is there, and nothing else is."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import pytest

from conf.model import Address
from storage import migrations
from storage import outcomes as o
from storage.errors import NodeError, StoreError, Unavailable, Uncertain
from storage.replica_set import NodeState, ReplicaSet
from storage.store import Store
from tests.storage.builders import (
    LIFETIMES,
    NOW,
    Grant,
    at_once,
    issue_code,
    kinds,
    open_grant,
    successor,
)
from tests.storage.links import Links
from tests.storage.nodes import OWNER_PASSWORD, PASSWORD, Node, Nodes

PATIENCE = 4.5  # seconds, as a server's
CUSTOMERS = 20


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Three nodes of the test's own, of which `a` leads."""
    with Links() as links:
        started = Nodes(3, links)
        try:
            started.start()
            leader = asyncio.run(started.promote())
            assert leader.name == "a"
            yield started
        finally:
            started.stop()


@pytest.fixture
async def store(nodes: Nodes) -> AsyncIterator[Store]:
    async with to(*nodes.nodes) as connected:
        yield connected


@contextlib.asynccontextmanager
async def to(*nodes: Node, patience: float = PATIENCE) -> AsyncIterator[Store]:
    store = await Store.connect([node.address for node in nodes], PASSWORD, patience)
    try:
        yield store
    finally:
        await store.close()


async def becomes(nodes: Nodes, name: str, is_so: Callable[[NodeState], bool]) -> NodeState:
    deadline = time.monotonic() + 10
    while True:
        state = (await nodes.replica_set.states()).get(nodes[name].address)
        if state is not None and is_so(state):
            return state
        assert time.monotonic() < deadline, state
        await asyncio.sleep(0.05)


async def follows(nodes: Nodes, name: str, leader: str) -> None:
    await becomes(nodes, name, lambda state: state.following == leader)


class Customers:
    """Customers whose apps go on rotating their refresh tokens, and note every answer."""

    def __init__(self, store: Store, grants: Sequence[Grant]) -> None:
        self._store = store
        self._grants = grants
        self._tokens = [grant.token for grant in grants]
        self._ending = False
        self.answers = 0
        self.longest = 0.0  # seconds that one of them waited

    @classmethod
    async def sign_in(cls, store: Store) -> "Customers":
        return cls(store, await at_once(open_grant(store) for _ in range(CUSTOMERS)))

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._rotate(place)) for place in range(CUSTOMERS)]
        try:
            yield
            await self.go_on()
        finally:
            self._ending = True
            await asyncio.gather(*tasks)

    async def go_on(self) -> None:
        """Return when all have had some more answers."""
        enough = self.answers + 3 * CUSTOMERS
        while self.answers < enough:  # noqa: ASYNC110 - there is no single event to wait for
            await asyncio.sleep(0.01)

    async def _rotate(self, place: int) -> None:
        while not self._ending:
            began = time.monotonic()
            await self._use(place)
            self.longest = max(self.longest, time.monotonic() - began)
            self.answers += 1

    async def _use(self, place: int) -> None:
        token = self._tokens[place]
        answer = await self._grants[place].rotate(self._store, token, attempt=token)
        assert isinstance(answer, o.Rotated), answer
        self._tokens[place] = successor(token)

    async def use_all(self) -> None:
        """Every token that was given out is good."""
        await at_once(self._use(place) for place in range(CUSTOMERS))


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


async def rejoined(nodes: Nodes, name: str) -> None:
    await nodes.rejoin(name)
    process = nodes[name].process
    assert process is not None
    assert await asyncio.to_thread(process.wait, 5) == 0
    nodes[name].start()
    await asyncio.to_thread(nodes[name].wait)


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


async def test_a_node_leads_as_long_as_a_majority_acknowledges_it(nodes: Nodes) -> None:
    assert await nodes.replica_set.is_led()
    nodes["b"].kill()
    assert await nodes.replica_set.is_led()
    nodes["c"].freeze()
    assert not await nodes.replica_set.is_led()
    nodes["c"].thaw()
    assert await nodes.replica_set.is_led()


async def test_a_writer_that_only_its_clients_reach_is_replaced(nodes: Nodes, store: Store) -> None:
    code = await issue_code(store)
    nodes.isolate("a")
    assert not await nodes.replica_set.is_led()

    leader = await nodes.promote()

    assert leader.name in "bc"
    assert await nodes.replica_set.is_led()
    assert isinstance(await code.redeem(store), o.Redeemed)
    assert nodes.links is not None
    nodes.links.heal()
    await becomes(nodes, "a", lambda state: not state.leads)


async def test_a_writer_without_acknowledgement_votes_where_the_others_are_too_few(
    nodes: Nodes, store: Store
) -> None:
    code = await issue_code(store)
    nodes["c"].kill()
    await nodes["b"].eval("box.cfg({ replication = {} }) return true")
    assert not await nodes.replica_set.is_led()

    assert (await nodes.promote()).name == "a"

    assert await nodes.replica_set.is_led()
    assert isinstance(await code.redeem(store), o.Redeemed)


# Sleeps as a migration with a big index would, after the promotion is in the log.
SLOW_UPGRADE = """
    local fiber, install, seconds = require('fiber'), require('install'), ...
    local upgrade = install.upgrade
    install.upgrade = function() fiber.sleep(seconds) upgrade() end
    return true
"""


@pytest.fixture
async def beginning(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncio.Task[NodeState]]:
    """A promotion of `b` that takes longer than an operator's patience with a silent node."""
    monkeypatch.setattr("storage.replica_set._LEAD_SECONDS", 0.5)
    await nodes["b"].eval(SLOW_UPGRADE, 3)
    nodes["a"].kill()
    task = asyncio.create_task(nodes.promote("b"))
    await becomes(nodes, "b", lambda state: state.begins)
    yield task
    task.cancel()
    await asyncio.wait({task})


async def test_a_promotion_takes_as_long_as_what_the_new_writer_brings(
    nodes: Nodes, beginning: asyncio.Task[NodeState]
) -> None:
    assert await nodes.replica_set.is_led()
    with pytest.raises(NodeError, match="b is about to lead: wait until it does"):
        await nodes.promote()

    lead = await beginning

    assert (lead.name, lead.leads, lead.begins) == ("b", True, False)


async def test_a_promotion_gives_up_a_node_that_does_not_answer_any_more(
    nodes: Nodes, beginning: asyncio.Task[NodeState]
) -> None:
    nodes["b"].freeze()
    async with asyncio.timeout(5):
        with pytest.raises(NodeError, match="it does not answer"):
            await beginning
    nodes["b"].thaw()
    await becomes(nodes, "b", lambda state: state.leads)


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


async def test_a_second_outage_soon_after_the_first_is_the_same(nodes: Nodes, store: Store) -> None:
    grant = await open_grant(store)
    async with to(nodes["a"], patience=1) as impatient:
        async with silent(nodes):
            with pytest.raises(Uncertain):
                await grant.rotate(impatient, grant.token, now=NOW)
        await store.ready(now=NOW + 20)
        async with silent(nodes):
            with pytest.raises(Uncertain):
                await impatient.ready(now=NOW + 25)
    await store.ready(now=NOW + 50)

    assert isinstance(await grant.rotate(store, grant.token, now=NOW + 55), o.Rotated)
