"""Nodes are brought to a later version one after the other, while they are in use."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asynctnt
import pytest

from storage import migrations
from storage.store import Store
from tests.storage.builders import at_once, open_grant
from tests.storage.migrating import STEPS
from tests.storage.nodes import PASSWORD, PROGRAM, Node, Nodes

CUSTOMERS = 300
SCHEMA = "return box.space.schema_version:count()"
LEFT = """
    local left = 0
    for _, customer in box.space.customer:pairs() do
        if customer.nickname == nil then left = left + 1 end
    end
    return left
"""


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Three nodes of the test's own, of which `a` leads."""
    started = Nodes(3)
    try:
        started.start()
        asyncio.run(started.promote())
        yield started
    finally:
        started.stop()


@pytest.fixture
async def store(nodes: Nodes) -> AsyncIterator[Store]:
    connected = await Store.connect(nodes.addresses, PASSWORD, 4.5)
    yield connected
    await connected.close()


@pytest.fixture
def later(directory: Path) -> Path:
    """The program of a version that has one more migration, and one more procedure."""
    lua = directory / "later"
    shutil.copytree(PROGRAM.parent, lua)
    shutil.copy(STEPS / "later.lua", lua / "migrations" / "9999_later.lua")
    _insert(lua / "migrations.lua", "\n}", "\n    require('migrations.9999_later'),")
    _insert(lua / "api" / "health.lua", "\nreturn M", "\nfunction M.later() return 'later' end\n")
    return lua / PROGRAM.name


def _insert(file: Path, before: str, text: str) -> None:
    whole = file.read_text(encoding="utf-8")
    file.write_text(whole.replace(before, text + before, 1), encoding="utf-8")


async def _runs(node: Node, program: Path) -> None:
    node.kill()
    node.program = program
    node.start()
    await asyncio.to_thread(node.wait)


async def _called_by_the_server(node: Node, procedure: str) -> Any:
    connection = await asynctnt.connect(
        host="127.0.0.1",
        port=node.port,
        username="idp",
        password=PASSWORD,
        fetch_schema=False,
        auto_refetch_schema=False,
    )
    try:
        return (await connection.call(procedure)).body[0]
    finally:
        await connection.disconnect()


async def _settles(node: Node, lua: str, value: object) -> None:
    deadline = time.monotonic() + 10
    while (found := await node.eval(lua)) != value:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


async def test_a_node_of_a_later_version_brings_the_store_to_it_when_it_leads(
    nodes: Nodes, store: Store, later: Path
) -> None:
    await at_once(open_grant(store) for _ in range(CUSTOMERS))
    for name in "bc":
        await _runs(nodes[name], later)
    await _settles(nodes["c"], SCHEMA, len(migrations.names()))

    await nodes.promote("b")

    for node in nodes.nodes:
        await _settles(node, SCHEMA, len(migrations.names()) + 1)
        await _settles(node, LEFT, 0)
    assert await _called_by_the_server(nodes["b"], "v1.later") == "later"
    await open_grant(store)


async def test_the_version_before_goes_on_after_a_promotion_back(
    nodes: Nodes, store: Store, later: Path
) -> None:
    await at_once(open_grant(store) for _ in range(CUSTOMERS))
    await _runs(nodes["b"], later)
    await nodes.promote("b")
    await nodes.promote("a")
    await open_grant(store)
    await _runs(nodes["c"], later)
    await open_grant(store)

    # What b had begun, c ends.
    await nodes.promote("c")
    for node in nodes.nodes:
        await _settles(node, LEFT, 0)
        await _settles(node, SCHEMA, len(migrations.names()) + 1)


async def test_a_node_whose_migrations_were_edited_does_not_start(
    nodes: Nodes, later: Path
) -> None:
    edited = later.parent / "migrations" / "0001_initial.lua"
    edited.write_text(edited.read_text(encoding="utf-8") + "-- later\n", encoding="utf-8")
    node = nodes["b"]
    node.kill()
    node.program = later
    node.start()
    assert node.process is not None

    assert await asyncio.to_thread(node.process.wait, 10) == 1
    assert "migration 0001_initial was edited after this store had applied it" in node.log
