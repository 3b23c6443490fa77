"""The server's user may execute our procedures and nothing else; a guest may nothing."""

from collections.abc import AsyncIterator
from typing import Any

import asynctnt
import pytest
from asynctnt.exceptions import ErrorCode, TarantoolDatabaseError

from storage.child import PrivateTarantool
from tests.storage.builders import NOW

SYSTEM_SPACES = ["_space", "_vspace", "_user", "_vuser", "_func", "_vfunc", "_priv", "_truncate"]
OWN_SPACES = ["customer", "grant", "code", "refresh", "session", "signing_key", "server_secret"]
FUNCTIONS = [
    "box.session.su",
    "box.schema.user.info",
    "box.schema.user.passwd",
    "box.space.customer:select",
    "box.snapshot",
    "dostring",
    "LUA",
    "os.execute",
    "os.exit",
    "require",
    "v1.no_such_procedure",
]


async def connect(process: PrivateTarantool, **credentials: str) -> Any:
    connection = asynctnt.Connection(
        host="unix/",
        port=str(process.socket_path),
        fetch_schema=False,
        auto_refetch_schema=False,
        ping_timeout=0,
        **credentials,
    )
    await connection.connect()
    return connection


@pytest.fixture(params=["idp", "guest"])
async def connection(
    request: pytest.FixtureRequest, tarantool: PrivateTarantool
) -> AsyncIterator[Any]:
    guest = request.param == "guest"
    credentials = {} if guest else {"username": "idp", "password": tarantool.password}
    connected = await connect(tarantool, **credentials)
    yield connected
    await connected.disconnect()


async def is_refused(attempt: Any) -> bool:
    with pytest.raises(TarantoolDatabaseError) as caught:
        await attempt
    return bool(caught.value.code == ErrorCode.ER_ACCESS_DENIED)


async def test_the_server_calls_a_procedure(tarantool: PrivateTarantool) -> None:
    connection = await connect(tarantool, username="idp", password=tarantool.password)

    answer = await connection.call("v1.ready", [{"now": NOW}])

    assert answer.body == [{"schema_version": 4}]
    await connection.disconnect()


async def test_a_guest_calls_no_procedure(tarantool: PrivateTarantool) -> None:
    connection = await connect(tarantool)

    assert await is_refused(connection.call("v1.ready", [{"now": NOW}]))
    await connection.disconnect()


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_no_other_function_is_called(connection: Any, function: str) -> None:
    assert await is_refused(connection.call(function, ["return 1"]))


async def test_no_lua_is_evaluated(connection: Any) -> None:
    assert await is_refused(connection.eval("return 1"))


# Tarantool lets everybody send SQL, and gives everybody the function LUA().
async def test_no_lua_is_evaluated_by_sql(connection: Any) -> None:
    assert await is_refused(connection.execute("SELECT LUA('return os.getenv(\"PATH\")')"))


@pytest.mark.parametrize("space", OWN_SPACES + SYSTEM_SPACES)
async def test_no_space_is_read_or_written(
    connection: Any, space: str, space_ids: dict[str, int]
) -> None:
    assert await is_refused(connection.select(space_ids[space]))
    assert await is_refused(connection.insert(space_ids[space], [1]))
    assert await is_refused(connection.delete(space_ids[space], [1]))
    assert await is_refused(connection.execute(f'SELECT * FROM "{space}"'))  # noqa: S608


@pytest.fixture
async def space_ids(tarantool: PrivateTarantool) -> dict[str, int]:
    owner = (tarantool.directory / "owner.password").read_text()
    connection = await connect(tarantool, username="owner", password=owner)
    lua = "local ids = {} for _, s in pairs(box.space) do ids[s.name] = s.id end return ids"
    ids: dict[str, int] = (await connection.eval(lua)).body[0]
    await connection.disconnect()
    return ids


async def test_a_wrong_password_is_refused(tarantool: PrivateTarantool) -> None:
    with pytest.raises(TarantoolDatabaseError, match="Incorrect password"):
        await connect(tarantool, username="idp", password="wrong")
