"""A writer is cut off in the middle of a migration: another one leads, and ends the migration."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from storage import migrations
from storage.errors import NodeError, StoreBug
from storage.owner import Owner
from storage.records import By
from storage.store import Store
from tests.storage.builders import NOW
from tests.storage.elsewhere.replicated.three import Customers, becomes, happens, rejoined, tells
from tests.storage.migrating import STEPS
from tests.storage.nodes import OWNER_PASSWORD, PROGRAM, Node, Nodes

PEOPLE = 40_000  # whose index takes seconds
FILL = """
    local many = ...
    for id = 1, many do
        if id % 1000 == 1 then box.begin() end
        box.space.person:insert({ id, 'name' })
        if id % 1000 == 0 then box.commit() end
    end
    return true
"""
MIGRATING = "return package.loaded.migration ~= nil"
LEDGER = "return box.space.schema_version:select()"
LAST = "return box.space.schema_version.index.primary:max().name"
INDEXED = "return box.space.person.index.dear:len()"


@pytest.fixture
async def later(
    nodes: Nodes, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Path]:
    """A version with a migration that takes seconds, of a store that has all the ones before."""
    lua = directory / "later"
    shutil.copytree(PROGRAM.parent, lua)
    monkeypatch.setattr(migrations, "LUA", lua)
    for number, name in enumerate(("0001_people", "dear_key")):
        shutil.copy(STEPS / f"{name}.lua", lua / "migrations" / f"{9001 + number}.lua")
    await migrate(nodes["a"])
    await nodes["a"].eval(FILL, PEOPLE)
    shutil.copy(STEPS / "dear_index.lua", lua / "migrations" / "9003.lua")
    listed = lua / "migrations.lua"
    text = listed.read_text(encoding="utf-8")
    more = "".join(f"    require('migrations.{number}'),\n" for number in (9001, 9002, 9003))
    listed.write_text(text.replace("\n}", f"\n{more}}}", 1), encoding="utf-8")
    yield lua / PROGRAM.name
    # Ends the commands that wait for a node.
    nodes.stop()


async def migrate(node: Node) -> list[str]:
    """What `idp store migrate` does."""

    def command() -> list[str]:
        owner = Owner.connect_to(node.address, OWNER_PASSWORD)
        try:
            return migrations.migrate(owner, by=By("a test", "to see"), now=NOW, dry_run=False)
        finally:
            owner.close()

    return await asyncio.to_thread(command)


async def is_not_led(nodes: Nodes) -> None:
    async def is_so() -> bool:
        return not await nodes.replica_set.is_led()

    await happens(is_so, 5)


async def the_writer_builds(nodes: Nodes) -> None:
    await tells(nodes["a"], MIGRATING, True)  # noqa: FBT003 - what Lua returns


async def the_replicas_build(nodes: Nodes) -> None:
    await tells(nodes["a"], LAST, "dear_index")


@pytest.mark.parametrize("reached", [the_writer_builds, the_replicas_build])
async def test_a_writer_that_is_cut_off_while_it_migrates_is_replaced(
    nodes: Nodes, store: Store, later: Path, reached: Callable[[Nodes], Awaitable[None]]
) -> None:
    customers = await Customers.sign_in(store)
    migrating = asyncio.create_task(migrate(nodes["a"]))
    await the_writer_builds(nodes)
    await customers.use_all()
    await reached(nodes)
    assert await nodes.replica_set.is_led()
    assert nodes.links is not None

    nodes.isolate("a")
    await is_not_led(nodes)
    leader = await nodes.promote()

    assert leader.name in "bc"
    await customers.use_all()
    await migrate(nodes[leader.name])
    await asyncio.gather(*(tells(nodes[name], INDEXED, PEOPLE) for name in "bc"))
    nodes.links.heal()
    with pytest.raises(StoreBug, match="does not lead any more"):
        await migrating
    await rejoined(nodes, "a")
    for node in nodes.nodes:
        await tells(node, LEDGER, await nodes[leader.name].eval(LEDGER))
        await tells(node, INDEXED, PEOPLE)
    await customers.use_all()


async def test_a_writer_that_is_cut_off_while_it_begins_is_replaced(
    nodes: Nodes, store: Store, later: Path
) -> None:
    customers = await Customers.sign_in(store)
    for name in "bc":
        nodes[name].kill()
        nodes[name].program = later
        nodes[name].start()
        nodes[name].wait()
    beginning = asyncio.create_task(nodes.promote("b"))
    await becomes(nodes, "b", lambda state: state.begins)
    await tells(nodes["b"], MIGRATING, True)  # noqa: FBT003 - what Lua returns
    assert await nodes.replica_set.is_led()

    nodes.isolate("b")
    await is_not_led(nodes)
    leader = await nodes.promote("c")

    assert leader.name in "ac"
    await customers.use_all()
    if leader.name == "a":
        # Of the version before; the new one goes on where it leads next.
        await nodes.promote("c")
    assert nodes.links is not None
    nodes.links.heal()
    with contextlib.suppress(NodeError):
        await beginning
    await asyncio.gather(*(tells(nodes[name], INDEXED, PEOPLE) for name in "ac"))
    await becomes(nodes, "b", lambda state: state.outdated)
    await rejoined(nodes, "b")
    for node in nodes.nodes:
        await tells(node, LEDGER, await nodes["c"].eval(LEDGER))
        await tells(node, INDEXED, PEOPLE)
    await customers.use_all()
