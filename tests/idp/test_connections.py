import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from idp import connections
from idp.connections import BoundedProtocol

pytestmark = pytest.mark.anyio

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def stream(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stream]:
    monkeypatch.setattr(connections, "_MOST_SECONDS", 0.2)
    config = uvicorn.Config(PlainTextResponse("well"), lifespan="off", log_config=None)
    config.load()
    state = ServerState()

    def protocol() -> BoundedProtocol:
        return BoundedProtocol(config=config, server_state=state, app_state={})

    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    yield reader, writer
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("begun", [b"", b"GET / HT", REQUEST[:-2], b"POST / HTTP/1.1\r\nHost"])
async def test_a_request_that_does_not_arrive_ends_its_connection(
    stream: Stream, begun: bytes
) -> None:
    reader, writer = stream
    writer.write(begun)
    assert await asyncio.wait_for(reader.read(), 2) == b""


async def test_a_body_that_trickles_ends_its_connection(stream: Stream) -> None:
    reader, writer = stream
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")
    for _ in range(2):
        writer.write(b"x")
        await asyncio.sleep(0.05)
    # The answer did not wait for the body, but the connection does not either.
    assert (await asyncio.wait_for(reader.read(), 2)).endswith(b"well")


async def test_a_connection_between_requests_may_wait(stream: Stream) -> None:
    reader, writer = stream
    for _ in range(3):
        writer.write(REQUEST)
        assert (await asyncio.wait_for(reader.readuntil(b"well"), 2)).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.3)


async def test_after_many_requests_one_that_does_not_arrive_ends_the_connection(
    stream: Stream,
) -> None:
    reader, writer = stream
    for _ in range(5):
        writer.write(REQUEST)
        assert (await asyncio.wait_for(reader.readuntil(b"well"), 2)).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.07)
    writer.write(REQUEST[:-2])
    began = asyncio.get_running_loop().time()
    assert await asyncio.wait_for(reader.read(), 2) == b""
    # Not before its own time is over.
    assert asyncio.get_running_loop().time() - began > 0.15


async def test_requests_that_come_at_once_are_answered_in_turn(stream: Stream) -> None:
    reader, writer = stream
    writer.write(REQUEST * 3)
    answers = [await asyncio.wait_for(reader.readuntil(b"well"), 2) for _ in range(3)]
    assert [it.startswith(b"HTTP/1.1 200") for it in answers] == [True, True, True]
