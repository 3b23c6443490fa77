"""Overload: what a worker cannot do is refused at once, and the rest is served."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from idp import admission
from idp.admission import MOST_IN_PROGRESS, MOST_STANDING, Admission
from idp.connections import BoundedProtocol

MANY = 2 * MOST_IN_PROGRESS
END = b"\r\n\r\n"


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x".encode() + END


async def answer(send: Send) -> None:
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def busy(scope: Scope, receive: Receive, send: Send) -> None:
    """Work for a moment, in which the loop does nothing else."""
    time.sleep(0.002)  # noqa: ASYNC251 - which is the point
    await answer(send)


async def patient(scope: Scope, receive: Receive, send: Send) -> None:
    """Wait for somebody else, which costs nothing."""
    await asyncio.sleep(0.5)
    await answer(send)


class Worker:
    """A listener as a worker has it, in front of an application."""

    async def start(self, app: ASGIApp) -> None:
        config = uvicorn.Config(Admission(app), lifespan="off", log_config=None)
        config.load()
        state = ServerState()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: BoundedProtocol(config=config, server_state=state, app_state={}),
            "127.0.0.1",
            backlog=2 * MANY,
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._server.sockets[0].getsockname())

    async def ask(self, path: str = "/token", before: asyncio.Event | None = None) -> bytes:
        """The head of the answer."""
        reader, writer = await self.connect()
        if before is not None:
            await before.wait()
        writer.write(request(path))
        head = await reader.readuntil(END)
        writer.close()
        return head

    async def ask_at_once(self, *more: str) -> list[bytes]:
        """The heads of the answers to many requests, and to those for `more` paths among them."""
        begin = asyncio.Event()
        paths = ["/token"] * MANY + list(more)
        asking = [asyncio.create_task(self.ask(path, begin)) for path in paths]
        await asyncio.sleep(1)
        begin.set()
        return await asyncio.gather(*asking)

    def close(self) -> None:
        self._server.close()


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker()
    yield made
    made.close()


def statuses(heads: list[bytes]) -> Counter[bytes]:
    return Counter(head[9:12] for head in heads)


async def test_what_is_too_much_is_refused_and_the_rest_is_served(worker: Worker) -> None:
    await worker.start(busy)
    await worker.ask()
    found = statuses(await worker.ask_at_once())
    assert found[b"200"] >= MOST_IN_PROGRESS
    assert found[b"503"] > 0
    assert (await worker.ask())[9:12] == b"200"


async def test_a_queue_that_stands_is_kept_shorter_than_a_burst(worker: Worker) -> None:
    await worker.start(busy)
    told: Counter[bytes] = Counter()
    first, ended = asyncio.Event(), asyncio.Event()

    async def insist() -> None:
        reader, writer = await worker.connect()
        while not ended.is_set():
            writer.write(request("/token"))
            told[(await reader.readuntil(END))[9:12]] += 1
            first.set()
        writer.close()

    asking = [asyncio.create_task(insist()) for _ in range(MOST_IN_PROGRESS - 1)]
    await first.wait()
    assert told.keys() == {b"200"}
    await asyncio.sleep(3)
    ended.set()
    assert told[b"503"] > 0
    await asyncio.gather(*asking)
    # When it is gone, a burst is let in again.
    await asyncio.sleep(3)
    heads = await asyncio.gather(*(worker.ask() for _ in range(2 * MOST_STANDING)))
    assert statuses(heads) == {b"200": 2 * MOST_STANDING}


async def test_bodies_that_trickle_take_nobody_s_place(worker: Worker) -> None:
    async def patient_with_bodies(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "POST":
            await receive()  # the end of the headers
            await receive()
            return
        await busy(scope, receive, send)

    await worker.start(patient_with_bodies)
    trickling = [await worker.connect() for _ in range(2 * MOST_STANDING)]
    for _, writer in trickling:
        writer.write(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 9" + END + b"x")
    told: Counter[bytes] = Counter()
    ended = asyncio.Event()

    async def insist() -> None:
        reader, writer = await worker.connect()
        while not ended.is_set():
            writer.write(request("/token"))
            told[(await reader.readuntil(END))[9:12]] += 1
        writer.close()

    asking = [asyncio.create_task(insist()) for _ in range(MOST_STANDING // 4)]
    await asyncio.sleep(3)
    ended.set()
    await asyncio.gather(*asking)
    for _, writer in trickling:
        writer.close()
    assert told.keys() == {b"200"}


async def test_a_refusal_says_when_to_come_again(worker: Worker) -> None:
    await worker.start(busy)
    await worker.ask()
    refused = [head for head in await worker.ask_at_once() if head[9:12] == b"503"]
    assert all(b"\r\nretry-after: 1\r\n" in head.lower() for head in refused)


async def test_a_probe_is_answered_under_overload(worker: Worker) -> None:
    await worker.start(busy)
    await worker.ask()
    heads = await worker.ask_at_once("/livez", "/readyz")
    assert statuses(heads[MANY:]) == {b"200": 2}


async def test_requests_that_only_wait_are_not_too_many(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever else the machine does: the loop itself has nothing to do.
    monkeypatch.setattr(admission, "_LATE", 60.0)
    await worker.start(patient)
    assert statuses(await worker.ask_at_once()) == {b"200": MANY}
