"""HTTP/1.1 (RFC 9112) to one server: an exchange at a time on each connection, which is kept.

A general client takes as long for one message as all the rest of a sign-in does together.
"""

import asyncio
import select
import socket
import ssl
from collections import deque
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

_LONGEST_ANSWER = 65_536  # bytes, its head included
_KEPT_SECONDS = 4.0  # many servers close what is idle for five
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_FIRST_FINAL = 200  # status; those below announce another one (RFC 9110 15.2)
_HTTPS = 443


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


class NoAnswer(Exception):
    """No whole answer came; what was asked may have been done."""


class Origin:
    """The server of a URL, and the connections to it that nobody uses now."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        parts = urlsplit(url)
        self.authority = parts.netloc
        self.target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._host = parts.hostname or ""
        self._tls = tls if parts.scheme == "https" else None
        self._port = parts.port or (_HTTPS if self._tls else 80)
        self._idle: deque[_Connection] = deque()

    async def ask(self, request: bytes, seconds: float) -> Answer:
        """Send a request and wait for its answer, for so long together.

        Raises OSError where nothing was sent for want of a connection, and NoAnswer.
        """
        end = asyncio.get_running_loop().time() + seconds
        connection = self._used_last() or await self._connect(end)
        try:
            async with asyncio.timeout_at(end):
                answer = await connection.ask(request)
        except TimeoutError as error:
            raise NoAnswer("no answer in time") from error
        finally:
            if connection.is_reusable:
                self._keep(connection)
            else:
                connection.abort()
        return answer

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().abort()

    def _used_last(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open():
                return connection
            connection.abort()
        return None

    def _keep(self, connection: "_Connection") -> None:
        self._idle.append(connection)
        while self._idle[0].is_old():
            self._idle.popleft().abort()

    async def _connect(self, end: float) -> "_Connection":
        loop = asyncio.get_running_loop()
        async with asyncio.timeout_at(end):
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses = [str(address[0]) for *_, address in found]
        while True:
            # An address that swallows everything leaves time for the next one.
            share = (end - loop.time()) / len(addresses)
            try:
                async with asyncio.timeout(share):
                    _, connection = await loop.create_connection(
                        _Connection,
                        addresses.pop(0),
                        self._port,
                        ssl=self._tls,
                        server_hostname=self._host if self._tls else None,
                    )
            except OSError:  # TimeoutError is one
                if not addresses:
                    raise
            else:
                return connection


class _Connection(asyncio.Protocol):
    """One connection, with the answer that it waits for."""

    def __init__(self) -> None:
        self.is_reusable = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser
        self._answer: asyncio.Future[Answer] | None = None
        self._used_at = self._loop.time()
        self._received = 0
        self._has_head = self._is_framed = False
        self._body = bytearray()

    async def ask(self, request: bytes) -> Answer:
        if self._transport.is_closing():
            raise NoAnswer("the connection was closed")
        self._parser = httptools.HttpResponseParser(self)
        self._answer = self._loop.create_future()
        self.is_reusable = False
        self._received = 0
        self._expect_head()
        self._transport.write(request)
        answer = await self._answer
        self._used_at = self._loop.time()
        return answer

    def is_old(self) -> bool:
        return self._loop.time() > self._used_at + _KEPT_SECONDS

    def is_open(self) -> bool:
        """Whether it may be used once more, as far as anybody can know."""
        if self._transport.is_closing() or self.is_old():
            return False
        # A loop that is late has not seen its end yet.
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def abort(self) -> None:
        self._transport.abort()

    # Called by the event loop

    def connection_made(  # type: ignore[override]  # as TCP and TLS have one
        self, transport: asyncio.Transport
    ) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._answer is None or self._answer.done():
            self._fail("nothing was asked")
        elif self._received > _LONGEST_ANSWER:
            self._fail("the answer is too long")
        else:
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                self._fail("the answer is not HTTP")

    def connection_lost(self, exc: Exception | None) -> None:
        # RFC 9112 6.3: with neither a length nor chunks an answer ends with its connection.
        if exc is None and self._has_head and not self._is_framed:
            self._complete()
        self._fail("the connection was closed")

    # Called by the parser

    def on_message_begin(self) -> None:
        self.is_reusable = False  # for nobody asked, if another one was complete

    def on_header(self, name: bytes, _: bytes) -> None:
        self._is_framed = self._is_framed or name.lower() in _FRAMING

    def on_headers_complete(self) -> None:
        self._has_head = True

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < _FIRST_FINAL:
            self._expect_head()
        elif self._complete():
            self.is_reusable = self._parser.should_keep_alive()

    def _expect_head(self) -> None:
        self._has_head = self._is_framed = False
        self._body = bytearray()

    def _complete(self) -> bool:
        """Whether it was the answer that was waited for."""
        if self._answer is None or self._answer.done():
            return False
        self._answer.set_result(Answer(self._parser.get_status_code(), bytes(self._body)))
        return True

    def _fail(self, reason: str) -> None:
        self.is_reusable = False
        self._transport.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NoAnswer(reason))
