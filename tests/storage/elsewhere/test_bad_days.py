"""Full disks, full memory, slow and refusing nodes: bounded waiting, no false success, recovery."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from storage import migrations
from storage import outcomes as o
from storage.errors import NodeError, StoreError, Unavailable, Uncertain
from storage.store import Store
from tests.storage.builders import NOW, at_once, issue_code, kinds, open_grant
from tests.storage.nodes import PASSWORD, Node, Nodes
from tests.storage.test_durability import IGNORE_SIGXFSZ
from tests.storage.topologies import NODES, serving

MEMORY = 64 * 1024 * 1024
IMPATIENCE = 1.0  # seconds
MARGIN = 1.5  # of a busy machine

FILL = """
    local space = box.schema.space.create('filling', { temporary = true })
    space:create_index('primary')
    local number = 0
    for _, size in ipairs({ 100000, 1000, 100, 10 }) do
        while pcall(space.insert, space, { number, ('x'):rep(size) }) do
            number = number + 1
        end
    end
    return number
"""
EMPTY = "box.space.filling:drop() return true"


@pytest.fixture(params=NODES)
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    """Nodes of the test's own, with little memory, of which `a` answers."""
    with serving(request.param, MEMORY) as started:
        yield started


of_several = pytest.mark.parametrize("nodes", ["replicated"], indirect=True)


@contextlib.asynccontextmanager
async def connected(nodes: Nodes, patience: float) -> AsyncIterator[Store]:
    store = await Store.connect(nodes.addresses, PASSWORD, patience)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(nodes: Nodes) -> AsyncIterator[Store]:
    async with connected(nodes, 5) as opened:
        yield opened


@pytest.fixture
async def impatient(nodes: Nodes, store: Store) -> AsyncIterator[Store]:
    await store.ready(now=NOW)
    async with connected(nodes, IMPATIENCE) as opened:
        yield opened


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < IMPATIENCE + MARGIN


async def full_disk(*nodes: Node) -> None:
    for node in nodes:
        await node.eval(IGNORE_SIGXFSZ + "return true")
        node.limit_files(10)


async def test_a_full_disk_of_the_writer_acknowledges_nothing(
    nodes: Nodes, store: Store, impatient: Store
) -> None:
    code = await issue_code(store)
    await full_disk(nodes["a"])

    with bounded():
        answers = await asyncio.gather(
            *(code.redeem(impatient, attempt=f"racer {n}") for n in range(50)),
            return_exceptions=True,
        )

    assert set(kinds(answers)) <= {Unavailable, Uncertain}
    nodes["a"].limit_files()
    assert isinstance(await code.redeem(store), o.Redeemed)


@of_several
async def test_a_writer_with_a_full_disk_is_replaced(nodes: Nodes, store: Store) -> None:
    code = await issue_code(store)
    await full_disk(nodes["a"])
    assert not await nodes.replica_set.is_led()

    assert (await nodes.promote()).name != "a"

    assert isinstance(await code.redeem(store), o.Redeemed)


async def test_full_memory_refuses_writes_and_passes(
    nodes: Nodes, store: Store, impatient: Store
) -> None:
    session = await open_grant(store)
    codes = [await issue_code(store) for _ in range(200)]
    assert await nodes["a"].eval(FILL) > 0

    with bounded():
        answers = await asyncio.gather(
            *(code.redeem(impatient, attempt=code.code) for code in codes), return_exceptions=True
        )
    with bounded():
        assert isinstance(await impatient.session_read(session.sid, now=NOW), o.FoundSession)

    assert Unavailable in kinds(answers)
    assert set(kinds(answers)) <= {o.Redeemed, Unavailable, Uncertain}
    await nodes["a"].eval(EMPTY)
    again = await at_once(code.redeem(store, attempt=code.code) for code in codes)
    assert kinds(again) == {o.Redeemed: len(codes)}
    assert all(isinstance(a, StoreError) or a == b for a, b in zip(answers, again, strict=True))


async def test_a_node_that_hangs_is_uncertain_and_goes_on(
    nodes: Nodes, store: Store, impatient: Store
) -> None:
    code = await issue_code(store)
    nodes["a"].freeze()

    with bounded(), pytest.raises(Uncertain):
        await code.redeem(impatient, attempt="same")

    nodes["a"].thaw()
    assert isinstance(await code.redeem(store, attempt="same"), o.Redeemed)


async def test_a_slow_node_is_waited_for_and_no_longer_than_that(
    nodes: Nodes, store: Store, impatient: Store
) -> None:
    code = await issue_code(store)
    hold = """
        local clock = require("clock")
        local till = clock.monotonic() + ...
        while clock.monotonic() < till do end
        return true
    """
    slow = asyncio.create_task(nodes["a"].eval(hold, 0.5))
    await asyncio.sleep(0.1)
    assert isinstance(await code.redeem(store, attempt="same"), o.Redeemed)
    await slow

    slow = asyncio.create_task(nodes["a"].eval(hold, 3))
    await asyncio.sleep(0.1)
    with bounded(), pytest.raises(StoreError):
        await code.redeem(impatient, attempt="same")
    await slow
    assert isinstance(await code.redeem(store, attempt="same"), o.Redeemed)


async def test_nodes_that_refuse_connections_are_waited_for(
    nodes: Nodes, store: Store, impatient: Store
) -> None:
    code = await issue_code(store)
    for node in nodes.nodes:
        node.kill()

    with bounded(), pytest.raises(StoreError):
        await code.redeem(impatient)

    for node in nodes.nodes:
        node.start()
    for node in nodes.nodes:
        node.wait()
    if len(nodes.nodes) > 1:
        await nodes.promote()
    assert isinstance(await code.redeem(store), o.Redeemed)


@of_several
async def test_full_disks_of_replicas_lose_nothing_and_are_taken_up_again(
    nodes: Nodes, store: Store, impatient: Store
) -> None:
    code = await issue_code(store)
    await full_disk(nodes["b"])
    await issue_code(store)
    await full_disk(nodes["c"])

    with bounded(), pytest.raises(Uncertain):
        await code.redeem(impatient, attempt="same")

    nodes["b"].limit_files()
    assert isinstance(await code.redeem(store, attempt="same"), o.Redeemed)
    nodes["c"].limit_files()
    count = "return box.space.code:count()"
    total = await nodes["a"].eval(count)
    deadline = time.monotonic() + 5
    while await nodes["c"].eval(count) != total:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_more_calls_than_may_wait_are_refused_at_once(
    nodes: Nodes, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.connection._MOST_CALLS", 10)
    await store.ready(now=NOW)
    nodes["a"].freeze()
    waiting = [asyncio.create_task(store.ready(now=NOW)) for _ in range(10)]
    await asyncio.sleep(0)

    with pytest.raises(Unavailable, match="10 calls wait already"):
        await store.ready(now=NOW)

    nodes["a"].thaw()
    assert await asyncio.gather(*waiting) == [len(migrations.names())] * 10


@of_several
async def test_a_node_that_cannot_write_its_promotion_takes_no_writes(nodes: Nodes) -> None:
    for node in nodes.nodes:
        await node.eval("return node.fence(2)")
    await full_disk(nodes["b"])

    with pytest.raises(Exception, match="write to disk"):
        await nodes["b"].eval("return node.lead(2, 'a test', 'to see')")
    assert await nodes["b"].eval("return box.info.ro")

    nodes["b"].limit_files()
    assert (await nodes.promote("c")).leads


@of_several
async def test_a_node_that_cannot_note_its_promise_keeps_its_files(nodes: Nodes) -> None:
    node = nodes["b"]
    await node.eval(IGNORE_SIGXFSZ + "return true")
    node.limit_files(0)

    with pytest.raises(NodeError, match="File too large"):
        await nodes.rejoin("b")
    node.kill()
    node.start()
    await asyncio.to_thread(node.wait)
    assert not list(node.directory.glob("aside-*"))
