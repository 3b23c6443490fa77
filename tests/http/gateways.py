"""Message providers of the tests: small HTTP servers on loopback, which behave as they like."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.process.processes import eventually
from tests.process.server import START_SECONDS


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `fields` are those of its JSON, its form or its query."""

    path: str
    headers: dict[str, str]
    fields: dict[str, Any]
    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered after `seconds`; a status of 0 closes the connection instead."""

    status: int = 200
    body: str = ""
    seconds: float = 0.0


@dataclass
class Gateway:
    """What was asked, and how each path answers."""

    origin: str = ""
    asked: list[Asked] = field(default_factory=list)
    behaviour: dict[str, Callable[[Asked], Answer]] = field(default_factory=dict)

    def about(self, phone: str, path: str | None = None) -> list[Asked]:
        """What it was asked about a phone."""
        return [
            it
            for it in list(self.asked)
            if it.fields.get("to", "").lstrip("+") == phone.lstrip("+") and path in (None, it.path)
        ]

    def hears(self, phone: str, path: str | None = None, *, times: int = 1) -> Asked:
        """Wait until it has been asked about a phone so often."""
        what = f"{path} is asked {times} times for {phone}: {self.asked}"
        eventually(lambda: len(self.about(phone, path)) >= times, what, START_SECONDS)
        return self.about(phone, path)[times - 1]


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that is gone."""


@contextlib.contextmanager
def gateway() -> Iterator[Gateway]:
    """Run one; paths without a behaviour take all."""
    it = Gateway()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            if self.headers.get("Content-Type") == "application/json":
                self._answer(json.loads(body))
            else:
                self._answer(dict(parse_qsl(body)))

        def do_PUT(self) -> None:
            self.do_POST()

        def do_GET(self) -> None:
            self._answer(dict(parse_qsl(urlsplit(self.path).query)))

        def _answer(self, fields: dict[str, Any]) -> None:
            asked = Asked(urlsplit(self.path).path, dict(self.headers), fields, time.time())
            it.asked.append(asked)
            behave = it.behaviour.get(asked.path)
            answer = behave(asked) if behave else Answer()
            time.sleep(answer.seconds)
            if answer.status == 0:
                self.close_connection = True
                return
            content = answer.body.encode()
            with contextlib.suppress(OSError):
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        it.origin = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield it
        finally:
            server.shutdown()
            thread.join()
