"""HTTP/1.1 as fast as Python can ask: one kept connection, one request in flight."""

import asyncio
import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlencode

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """A connection to a server that says the length of every answer."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to a port of this machine."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, "127.0.0.1", port)
        return connection

    @property
    def local_port(self) -> int:
        """Our end, by which the server's processes can be told apart."""
        return int(self._transport.get_extra_info("sockname")[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out (asyncio)."""
        self._transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return the answer's status and body. Raises ConnectionError."""
        if self._transport.is_closing():
            raise ConnectionError("the server has closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Answer once the whole answer is here (asyncio)."""
        self._received += data
        head = self._received.find(_END_OF_HEAD)
        length = _LENGTH.search(self._received, 0, head) if head >= 0 else None
        body = head + len(_END_OF_HEAD)
        if length is None or len(self._received) < body + int(length[1]):
            return
        if self._answer is None or self._answer.done():
            return
        self._answer.set_result((int(self._received[9:12]), bytes(self._received[body:])))
        self._received.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that waits (asyncio)."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(f"the connection was lost: {exc}"))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


def get(port: int, path: str, authorization: str = "") -> bytes:
    """A GET request."""
    return f"GET {path} HTTP/1.1\r\n{_headers(port, authorization)}\r\n".encode()


def post(port: int, path: str, form: Mapping[str, str], authorization: str = "") -> bytes:
    """A POST request with a form."""
    body = urlencode(form)
    return (
        f"POST {path} HTTP/1.1\r\n{_headers(port, authorization)}"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _headers(port: int, authorization: str) -> str:
    given = f"Authorization: {authorization}\r\n" if authorization else ""
    return f"Host: 127.0.0.1:{port}\r\n{given}"
