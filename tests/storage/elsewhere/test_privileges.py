"""Over TCP too, the server may execute our procedures and nothing else; a guest may nothing."""

import stat
from collections.abc import AsyncIterator
from typing import Any

import asynctnt
import pytest
from asynctnt.exceptions import TarantoolDatabaseError

from storage.errors import NodeError, Unavailable
from storage.replica_set import ReplicaSet
from storage.store import Store
from tests.storage.builders import NOW, Owner
from tests.storage.nodes import OWNER_PASSWORD, PASSWORD, Nodes
from tests.storage.test_privileges import FUNCTIONS, OWN_SPACES, SYSTEM_SPACES, is_refused

NODE_FUNCTIONS = [
    "node.state",
    "node.report",
    "node.fence",
    "node.lead",
    "node.confirm",
    "node.note_rejoin",
    "node.rejoin",
    "node.suspect",
]


@pytest.fixture(params=["idp", "guest"])
async def connection(request: pytest.FixtureRequest, nodes: Nodes) -> AsyncIterator[Any]:
    guest = request.param == "guest"
    credentials = {} if guest else {"username": "idp", "password": PASSWORD}
    connected = asynctnt.Connection(
        host="127.0.0.1",
        port=nodes.nodes[0].port,
        fetch_schema=False,
        auto_refetch_schema=False,
        ping_timeout=0,
        **credentials,
    )
    await connected.connect()
    yield connected
    await connected.disconnect()


@pytest.mark.parametrize("function", FUNCTIONS + NODE_FUNCTIONS)
async def test_no_other_function_is_called(connection: Any, function: str) -> None:
    assert await is_refused(connection.call(function, ["return 1"]))


async def test_no_lua_is_evaluated(connection: Any) -> None:
    assert await is_refused(connection.eval("return 1"))
    assert await is_refused(connection.execute("SELECT LUA('return os.getenv(\"PATH\")')"))


@pytest.mark.parametrize("space", [*OWN_SPACES, *SYSTEM_SPACES, "heartbeat", "schema_version"])
async def test_no_space_is_read_or_written(connection: Any, space: str, owner: Owner) -> None:
    number = await owner.eval("return box.space[...].id", space)
    assert await is_refused(connection.select(number))
    assert await is_refused(connection.insert(number, [1]))
    assert await is_refused(connection.delete(number, [1]))
    assert await is_refused(connection.execute(f'SELECT * FROM "{space}"'))  # noqa: S608


@pytest.mark.parametrize("nodes", ["replicated"], indirect=True)
async def test_a_replica_refuses_what_it_would_answer_from_its_copy(nodes: Nodes) -> None:
    with pytest.raises(Unavailable):
        await Store.connect([nodes.nodes[-1].address] * 2, PASSWORD, 0.5)
    replica = await Store.connect([nodes.nodes[-1].address], PASSWORD, 0.5)
    with pytest.raises(Unavailable, match="read-only"):
        await replica.session_read("nobody", now=NOW)
    await replica.close()


async def test_a_wrong_password_opens_nothing(nodes: Nodes) -> None:
    with pytest.raises(Unavailable, match="password"):
        await Store.connect([nodes.nodes[0].address], "wrong", 1)
    with pytest.raises(NodeError, match="only 0 of"):
        await ReplicaSet(nodes.addresses, "wrong").promote(by="a test", reason="to see")
    with pytest.raises(TarantoolDatabaseError):
        await asynctnt.connect(
            host="127.0.0.1",
            port=nodes.nodes[0].port,
            username="idp",
            password=OWNER_PASSWORD,
            reconnect_timeout=0,
        )


async def test_what_a_node_writes_is_its_users_alone(nodes: Nodes) -> None:
    for node in nodes.nodes:
        assert stat.S_IMODE(node.directory.stat().st_mode) == 0o700
        for path in node.directory.glob("*.snap"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
