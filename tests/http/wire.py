"""Requests as bytes, because no HTTP client sends what an attacker would."""

import contextlib
import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.http.provider import Running

FORM = b"application/x-www-form-urlencoded"
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 where the connection was closed without a word."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/json", self.headers["content-type"]
        members: dict[str, Any] = json.loads(self.body)
        return members

    @property
    def is_page(self) -> bool:
        return self.headers["content-type"] == "text/html; charset=utf-8"


def address(provider: Running) -> tuple[str, int]:
    parts = urlsplit(provider.issuer)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def exchange(
    provider: Running,
    method: str,
    target: bytes,
    headers: Headers = (),
    body: bytes = b"",
    *,
    host: bytes | None = None,
) -> Answer:
    """Send a request with exactly these bytes, and read the answer."""
    host = urlsplit(provider.issuer).netloc.encode() if host is None else host
    lines = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: " + host]
    lines += [name + b": " + value for name, value in headers]
    if body or method == "POST":
        lines.append(b"Content-Length: %d" % len(body))
    return send(provider, b"\r\n".join([*lines, b"Connection: close", b"", body]), method)


def post(
    provider: Running, target: bytes, body: bytes = b"", content_type: bytes | None = FORM
) -> Answer:
    """Send a form, or what should have been one."""
    headers = () if content_type is None else ((b"Content-Type", content_type),)
    return exchange(provider, "POST", target, headers, body)


def send(provider: Running, data: bytes, method: str = "GET") -> Answer:
    """Send bytes, and read the answer."""
    with socket.create_connection(address(provider), timeout=10) as connection:
        # The server may close before it has read all.
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        response = http.client.HTTPResponse(connection, method=method)
        try:
            response.begin()
            return Answer(response.status, response.headers, response.read())
        except (http.client.RemoteDisconnected, ConnectionError):
            return Answer(0, http.client.HTTPMessage(), b"")
