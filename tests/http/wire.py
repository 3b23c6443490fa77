"""Requests as bytes, because no HTTP client sends what an attacker would."""

import contextlib
import http.client
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.http.provider import Running
from tests.http.provider import provider as run_provider

FORM = b"application/x-www-form-urlencoded"
SECRET = "S3CRET"  # stands for one, wherever a test sends it
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


@contextlib.contextmanager
def watched() -> Iterator[Running]:
    """A provider that must not have found a fault in itself by the end, nor told a secret."""
    with run_provider() as running:
        yield running
        assert not re.search("internal_error|store_bug|Traceback", running.server.output)
        told = logged(running)
        assert not re.search(rf"{SECRET}|eyJ|\+?7\d{{10}}|Basic |Bearer ", told)
        assert not any(
            secret.read_text() in told for secret in (running.directory / "secrets").iterdir()
        )


def logged(running: Running) -> str:
    """The log without the messages, which the development inbox shows on the same terminal."""
    lines = running.server.output.splitlines()
    return "\n".join(line for line in lines if line.startswith("{"))


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


def is_a_page_that_leads_nowhere(response: httpx2.Response) -> None:
    """The customer is told that something is wrong, and sent nowhere."""
    assert response.status_code == 400
    assert "location" not in response.headers
    assert "set-cookie" not in response.headers
    assert response.headers["content-type"].startswith("text/html")
    assert "evil" not in response.text
