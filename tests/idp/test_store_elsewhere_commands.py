"""`idp store migrate`, `backup` and `restore` of a store of three nodes, and of one."""

import asyncio
import datetime as dt
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage import migrations
from storage.store import Store
from tests.conftest import connect
from tests.idp.conftest import Run
from tests.idp.installation import Installation
from tests.idp.operator import Operator, settled
from tests.storage.builders import Owner, open_grant
from tests.storage.migrating import FORGET
from tests.storage.nodes import PASSWORD, Node, Nodes

CUSTOMERS = """
    local found = {}
    for _, customer in box.space.customer:pairs() do table.insert(found, customer.sub) end
    return found
"""


@pytest.fixture
def led(operator: Operator) -> Operator:
    operator.store("promote", "--reason", "the first one")
    settled(operator, a="writer", b="replica", c="replica")
    return operator


def env_of(node: Node) -> Path:
    """The node's settings in a file, as its service manager reads them."""
    file = node.directory.with_suffix(".env")
    lines = (f"{name}={value}\n" for name, value in node.environment.items())
    file.write_text("# A node.\n\n" + "".join(lines), encoding="utf-8")
    return file


def sign_in(nodes: Nodes) -> None:
    async def signed_in() -> None:
        store = await Store.connect(nodes.addresses, PASSWORD, 5)
        await open_grant(store)
        await store.close()

    asyncio.run(signed_in())


def ask(node: Node, lua: str) -> Any:
    return asyncio.run(node.eval(lua))


def test_the_node_that_leads_is_migrated(led: Operator, nodes: Nodes) -> None:
    assert led.store("migrate", "--dry-run") == (0, "the schema is of this version\n", "")
    ask(nodes["a"], FORGET)
    last = migrations.names()[-1]
    assert led.store("migrate", "--dry-run") == (0, f"would apply {last}\n", "")

    assert led.store("migrate", "--reason", "an upgrade") == (0, f"applied {last}\n", "")
    for node in nodes.nodes:
        assert ask(node, "return box.space.schema_version:count()") == len(migrations.names())
    assert [it["reason"] for it in led.audit("store_migrated")] == ["an upgrade"]


def test_nothing_is_migrated_where_nobody_leads(operator: Operator) -> None:
    told = (1, "", "idp: nobody leads: promote a node first\n")
    assert operator.store("migrate") == told


@pytest.mark.parametrize(
    ("arguments", "instead"),
    [
        (("migrate",), "--owner-password"),
        (("backup", "archive"), "on the machine of a node, with --node"),
        (("restore", "archive", "--reason", "why not"), "on the machine of a node, with --node"),
    ],
)
def test_no_store_beside_the_real_one_is_made(
    operator: Operator, run: Run, arguments: tuple[str, ...], instead: str
) -> None:
    code, out, err = run("store", *arguments, "--config", operator.config)

    assert (code, out) == (1, "")
    assert err.startswith("idp: the store runs elsewhere: repeat the command ")
    assert err.endswith(f"{instead}\n")
    assert not (operator.config.parent / "var" / "store").exists()


@pytest.mark.parametrize("replayed", [False, True])
def test_a_store_of_three_nodes_is_restored_from_the_backup_of_one(
    led: Operator, nodes: Nodes, run: Run, directory: Path, *, replayed: bool
) -> None:
    sign_in(nodes)
    b, archive = nodes["b"], directory / "archive"
    backup = "store", "backup", archive, "--node", env_of(b)
    assert run(*backup)[0] == 0
    led.store("promote", "--node", "c", "--reason", "another one writes")
    sign_in(nodes)
    time.sleep(1)  # a moment on the command line is a whole second
    kept, until = sorted(ask(nodes["a"], CUSTOMERS)), int(time.time())
    assert len(kept) == 2
    if replayed:
        time.sleep(1)
        sign_in(nodes)
    code, out, err = run(*backup, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["complete_until"] > until
    for node in nodes.nodes:
        node.kill()
        shutil.rmtree(node.directory)
        node.directory.mkdir(mode=0o700)

    restore = ["store", "restore", archive, "--reason", "a fire", "--node", env_of(b)]
    if replayed:
        restore += ["--until", f"{dt.datetime.fromtimestamp(until, dt.UTC).isoformat()}"]
    code, _, err = run(*restore)
    assert (code, err) == (0, "")
    for node in nodes.nodes:
        node.start()
    for node in nodes.nodes:
        node.wait()
    assert led.store("promote", "--reason", "restored")[:2] == (0, "a leads, in term 1\n")
    settled(led, a="writer", b="replica", c="replica")
    for node in nodes.nodes:
        assert sorted(ask(node, CUSTOMERS)) == kept
    sign_in(nodes)


def test_a_backup_without_the_nodes_directory_is_told(
    led: Operator, nodes: Nodes, run: Run, directory: Path
) -> None:
    assert led.status()[0] == 0
    node = nodes["b"]
    node.environment["IDP_STORE_DIRECTORY"] = str(directory / "nowhere")

    code, out, err = run("store", "backup", directory / "archive", "--node", env_of(node))
    assert (code, out) == (1, "")
    assert err == f"idp: {directory / 'nowhere' / 'backup.lock'}: No such file or directory\n"


@pytest.fixture
def alone(directory: Path, run: Run) -> Iterator[tuple[Operator, Node]]:
    nodes = Nodes(1)
    try:
        nodes.start()
        yield Operator(directory, nodes, run), nodes["a"]
    finally:
        nodes.stop()


async def private_customers(here: Installation) -> Any:
    store = await connect(here.tarantool)
    await open_grant(store)
    await store.close()
    owner = await Owner.connect(here.tarantool.directory)
    customers = await owner.eval(CUSTOMERS)
    await owner.close()
    return customers


@pytest.mark.parametrize("count", [1, 3], ids=["external", "replicated"])
def test_a_servers_own_store_moves_to_nodes(here: Installation, run: Run, count: int) -> None:
    customers = asyncio.run(private_customers(here))
    archive, there = here.directory / "archive", here.directory / "there"
    there.mkdir()
    assert run("store", "backup", archive, "--config", here.config)[0] == 0
    nodes = Nodes(count)
    try:
        founder = nodes.nodes[0]
        restore = ("store", "restore", archive, "--reason", "three machines")
        assert run(*restore, "--node", env_of(founder))[0] == 0
        for node in nodes.nodes:
            node.start()
        for node in nodes.nodes:
            node.wait()
        operator = Operator(there, nodes, run)
        if count > 1:
            assert operator.store("promote", "--reason", "restored")[0] == 0
            settled(operator, a="writer", b="replica", c="replica")
            lose(operator, nodes, "a")
            settled(operator, a="replica", b="writer", c="replica")
        for node in nodes.nodes:
            assert ask(node, CUSTOMERS) == customers
        sign_in(nodes)
        assert operator.status()[0] == 0
        assert [it["reason"] for it in operator.audit("store_restored")] == ["three machines"]
    finally:
        nodes.stop()


def test_a_store_of_one_node_grows_to_three(
    alone: tuple[Operator, Node], run: Run, directory: Path
) -> None:
    _, node = alone
    archive, there = directory / "archive", directory / "there"
    there.mkdir()
    assert run("store", "backup", archive, "--node", env_of(node))[0] == 0
    rows = ask(node, "return box.space.schema_version:select()")
    nodes = Nodes(3)
    try:
        restore = ("store", "restore", archive, "--reason", "three machines")
        assert run(*restore, "--node", env_of(nodes["a"]))[0] == 0
        for each in nodes.nodes:
            each.start()
        for each in nodes.nodes:
            each.wait()
        operator = Operator(there, nodes, run)
        assert operator.store("promote", "--reason", "restored")[0] == 0
        settled(operator, a="writer", b="replica", c="replica")
        sign_in(nodes)
        assert ask(nodes["c"], "return box.space.schema_version:select()") == rows
    finally:
        nodes.stop()


def lose(operator: Operator, nodes: Nodes, name: str) -> None:
    """Lose a writer with all its files; it joins the next one."""
    nodes[name].kill()
    shutil.rmtree(nodes[name].directory)
    nodes[name].directory.mkdir(mode=0o700)
    assert operator.store("promote", "--reason", "it is gone")[0] == 0
    nodes[name].start()
    nodes[name].wait()


def test_the_backup_of_a_node_is_restored_as_another_one(
    led: Operator, nodes: Nodes, run: Run, directory: Path
) -> None:
    sign_in(nodes)
    archive, kept = directory / "archive", ask(nodes["a"], CUSTOMERS)
    assert run("store", "backup", archive, "--node", env_of(nodes["a"]))[0] == 0
    for node in nodes.nodes:
        node.kill()
        shutil.rmtree(node.directory)
        node.directory.mkdir(mode=0o700)
    restore = ("store", "restore", archive, "--reason", "a fire", "--node", env_of(nodes["c"]))
    assert run(*restore)[0] == 0
    for node in nodes.nodes:
        node.start()
    for node in nodes.nodes:
        node.wait()

    assert led.store("promote", "--reason", "restored")[0] == 0

    settled(led, a="writer", b="replica", c="replica")
    assert ask(nodes["b"], CUSTOMERS) == kept
    lose(led, nodes, "a")
    settled(led, a="replica", b="writer", c="replica")
    sign_in(nodes)


def test_a_store_of_one_node_is_migrated_backed_up_and_restored(
    alone: tuple[Operator, Node], run: Run, directory: Path
) -> None:
    operator, node = alone
    assert operator.store("migrate") == (0, "the schema is of this version\n", "")
    archive, env = directory / "archive", env_of(node)
    assert run("store", "backup", archive, "--node", env)[0] == 0
    node.kill()
    shutil.rmtree(node.directory)
    node.directory.mkdir(mode=0o700)

    assert run("store", "restore", archive, "--reason", "a fire", "--node", env)[0] == 0
    node.start()
    node.wait()
    assert operator.status()[0] == 0
    assert [it["reason"] for it in operator.audit("store_restored")] == ["a fire"]


@pytest.mark.parametrize(
    "command", [("promote",), ("rejoin", "a"), ("watch", "--name", "one")], ids=lambda it: it[0]
)
def test_a_node_that_is_alone_is_not_promoted(
    alone: tuple[Operator, Node], command: tuple[str, ...]
) -> None:
    reason = () if command[0] == "watch" else ("--reason", "why not")
    told = (1, "", "idp: this store has one node, which always leads\n")
    assert alone[0].store(*command, *reason) == told


def test_a_node_that_hangs_is_told(alone: tuple[Operator, Node], run: Run, directory: Path) -> None:
    operator, node = alone
    node.freeze()
    told = f"idp: the store did not answer: 127.0.0.1:{node.port}: it does not answer\n"

    assert operator.store("migrate") == (1, "", told)
    assert run("store", "backup", directory / "archive", "--node", env_of(node)) == (1, "", told)
