import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator

import pytest
import uvicorn
import uvloop
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from idp import connections
from idp.connections import BoundedProtocol

pytestmark = pytest.mark.anyio

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def serve(app: ASGIApp) -> tuple[asyncio.Server, ServerState]:
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    state = ServerState()

    def protocol() -> BoundedProtocol:
        return BoundedProtocol(config=config, server_state=state, app_state={})

    return await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0), state


@pytest.fixture
async def stream(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stream]:
    monkeypatch.setattr(connections, "_MOST_SECONDS", 0.2)
    server, _ = await serve(PlainTextResponse("well"))
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


async def test_an_answer_reaches_a_client_that_has_said_all_that_it_will(stream: Stream) -> None:
    reader, writer = stream
    writer.write(REQUEST)
    writer.write_eof()
    assert (await asyncio.wait_for(reader.read(), 2)).endswith(b"well")


async def test_requests_that_come_at_once_without_an_end_end_the_connection(
    stream: Stream,
) -> None:
    reader, writer = stream
    writer.write(REQUEST * 2 * connections._MOST_PIPELINED)
    answers = await asyncio.wait_for(reader.read(), 2)
    assert answers.count(b"HTTP/1.1 200") <= connections._MOST_PIPELINED
    assert answers.count(b"HTTP/1.1 400") == 1


async def test_an_answer_that_nobody_reads_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "_MOST_SECONDS", 0.2)
    server, state = await serve(PlainTextResponse("x" * 2**24))
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.sendall(REQUEST * 2)
        await asyncio.sleep(0.1)
        assert len(state.tasks) == 1
        await asyncio.sleep(0.5)
        assert (len(state.connections), len(state.tasks)) == (0, 0)
    server.close()


def test_a_client_that_goes_before_its_answer_is_no_error() -> None:
    complaints: list[object] = []
    well = PlainTextResponse("well")

    async def soon(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(random.randrange(3)):
            await asyncio.sleep(0)
        await well(scope, receive, send)

    def come_and_go(address: tuple[str, int]) -> None:
        with socket.create_connection(address) as client:
            # Closing it resets the connection.
            client.sendall(REQUEST)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def be_left() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: complaints.append(context)
        )
        server, _ = await serve(soon)
        for _ in range(300):
            await asyncio.to_thread(come_and_go, server.sockets[0].getsockname())
        await asyncio.sleep(0.1)
        server.close()

    # The workers' loop, whose transports raise where asyncio's own say nothing.
    uvloop.run(be_left())
    assert complaints == []


async def test_who_has_just_connected_is_answered_by_a_worker_that_ends() -> None:
    server, state = await serve(PlainTextResponse("well"))
    address = server.sockets[0].getsockname()
    asks = await asyncio.open_connection(*address)
    says_nothing = await asyncio.open_connection(*address)
    await asyncio.sleep(0.05)
    server.close()
    for connection in list(state.connections):
        connection.shutdown()
    await asyncio.sleep(0.05)
    asks[1].write(REQUEST)
    answer = await asyncio.wait_for(asks[0].read(), 2)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer
    assert await asyncio.wait_for(says_nothing[0].read(), 2) == b""
    for _, writer in (asks, says_nothing):
        writer.close()
        await writer.wait_closed()
    await server.wait_closed()
    assert not state.connections
