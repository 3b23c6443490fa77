"""One server asked over HTTP/1.1: what is a whole answer, and which connections are kept."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from idp.outbound.http1 import Answer, NoAnswer, Origin
from tests.http.provider import create_certificate

REQUEST = b"GET / HTTP/1.1\r\nhost: there\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SLOW = b""  # in the place of an answer


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@contextlib.asynccontextmanager
async def answering(
    *connections: Sequence[bytes], closes: bool = True, certificate: tuple[Path, Path] | None = None
) -> AsyncIterator[tuple[Origin, list[int]]]:
    """A server with an answer for each request of each connection, and which of them were used."""
    used: list[int] = []
    opened = iter(enumerate(connections))
    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        number, answers = next(opened)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            for answer in answers:
                await reader.readuntil(b"\r\n\r\n")
                used.append(number)
                writer.write(answer)
                await writer.drain()
            if not closes or answers[-1] == SLOW:
                await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    speaks, trusts, url = None, ssl.create_default_context(), "http://127.0.0.1"
    if certificate is not None:
        speaks = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        speaks.load_cert_chain(*certificate)
        trusts.load_verify_locations(certificate[0])
        url = "https://localhost"
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=speaks)
    origin = Origin(f"{url}:{server.sockets[0].getsockname()[1]}/", trusts)
    try:
        yield origin, used
    finally:
        origin.close()
        server.close()
        await asyncio.gather(*filter(None, serving))


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
    ],
)
async def test_an_answer_ends_where_it_says(answer: bytes) -> None:
    async with answering([answer]) as (origin, _):
        assert await origin.ask(REQUEST, 5) == Answer(200, b"ok")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"rubbish\r\n\r\n",
        OK[:-1],
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + 70_000 * b"x" + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + 70_000 * b"x",
    ],
)
async def test_what_is_no_whole_answer_is_none(answer: bytes) -> None:
    async with answering([answer] if answer else [b" "]) as (origin, _):
        with pytest.raises(NoAnswer):
            await origin.ask(REQUEST, 5)


async def test_a_connection_is_used_again_and_two_requests_have_two() -> None:
    async with answering([OK, OK, OK], [OK], closes=False) as (origin, used):
        await origin.ask(REQUEST, 5)
        await origin.ask(REQUEST, 5)
        assert used == [0, 0]
        await asyncio.gather(origin.ask(REQUEST, 5), origin.ask(REQUEST, 5))
        assert sorted(used) == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "first",
    [
        OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1),
        OK.replace(b"1.1", b"1.0"),
        OK + OK,
        OK + b"more",
    ],
)
async def test_a_connection_that_would_mislead_is_not_used_again(first: bytes) -> None:
    async with answering([first, OK], [OK], closes=False) as (origin, used):
        assert await origin.ask(REQUEST, 5) == Answer(200, b"ok")
        assert await origin.ask(REQUEST, 5) == Answer(200, b"ok")
        assert used == [0, 1]


async def test_a_connection_with_tls_is_used_again(tmp_path: Path) -> None:
    certificate = create_certificate(tmp_path, "localhost")
    async with answering([OK, OK], closes=False, certificate=certificate) as (origin, used):
        await origin.ask(REQUEST, 5)
        await asyncio.sleep(0.05)
        assert await origin.ask(REQUEST, 5) == Answer(200, b"ok")
        assert used == [0, 0]


async def test_nothing_is_sent_to_whom_nobody_vouches_for(tmp_path: Path) -> None:
    certificate = create_certificate(tmp_path, "elsewhere")
    async with answering([OK], certificate=certificate) as (origin, used):
        with pytest.raises(OSError, match="certificate verify failed"):
            await origin.ask(REQUEST, 5)
        assert used == []


@pytest.mark.parametrize("looks", [True, False])
async def test_a_connection_that_the_server_has_closed_is_not_used_again(*, looks: bool) -> None:
    async with answering([OK], [OK]) as (origin, used):
        await origin.ask(REQUEST, 5)
        if looks:
            await asyncio.sleep(0.1)
        else:  # what has come is not seen before the next turn of the loop
            await asyncio.sleep(0)
            time.sleep(0.1)  # noqa: ASYNC251
        await origin.ask(REQUEST, 5)
        assert used == [0, 1]


async def test_who_is_too_late_may_have_done_it_and_is_asked_anew() -> None:
    async with answering([OK, SLOW], [OK]) as (origin, used):
        await origin.ask(REQUEST, 5)
        with pytest.raises(NoAnswer):
            await origin.ask(REQUEST, 0.1)
        assert await origin.ask(REQUEST, 5) == Answer(200, b"ok")
        assert used == [0, 0, 1]


async def test_nothing_is_sent_without_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OSError, match=r"refused|failed"):
        await Origin(f"http://127.0.0.1:{port}/", ssl.create_default_context()).ask(REQUEST, 5)


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=False)
async def test_an_address_that_swallows_everything_leaves_time_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with answering([OK]) as (there, _):
        port = int(there.authority.partition(":")[2])
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{it}", port)) for it in (2, 1)
        ]
        with socket.create_server(("127.0.0.2", port), backlog=0), contextlib.ExitStack() as stack:
            for _ in range(2):  # a listener whose queue is full answers nobody
                client = stack.enter_context(socket.socket())
                client.settimeout(0)
                client.connect_ex(("127.0.0.2", port))
            origin = Origin(f"http://two.example:{port}/", ssl.create_default_context())
            with monkeypatch.context() as patch:
                patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
                assert await origin.ask(REQUEST, 1) == Answer(200, b"ok")
            origin.close()
