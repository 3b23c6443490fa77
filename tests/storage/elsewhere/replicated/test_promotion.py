"""Who leads is who has a majority, and a promotion takes as long as it must."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from storage import outcomes as o
from storage.errors import NodeError
from storage.replica_set import NodeState
from storage.store import Store
from tests.storage.builders import issue_code
from tests.storage.elsewhere.replicated.three import becomes
from tests.storage.nodes import Nodes


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
