"""A worker's part of a refresh, driven in this very process so that callgrind can count it.

The application as a worker has it, with a real store, is asked over ASGI; HTTP's own parsing and
the sockets are left out, for how often the kernel wakes a process is not the same twice.
"""

import argparse
import asyncio
import base64
import contextlib
import os
import subprocess
from typing import Any

import msgspec
import uvloop
from starlette.applications import Starlette

from conf.settings import Settings
from idp import app, logs, loops
from keys.sealing import load_sealer

_FORM = b"application/x-www-form-urlencoded"
_OK = 200
_WARM_UP = 20  # after which secrets, keys and the client are remembered


def main() -> None:
    """Rotate, counted `--requests` times; a running provider's settings are in IDP_SETTINGS."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh_path", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--client-id", required=True)
    options = parser.parse_args()
    settings = Settings.from_json(os.environ["IDP_SETTINGS"])
    logs.configure(settings.log_format)
    # What goes by the clock is not a request's, and would count by how slow the counting is.
    loops.running = lambda _: contextlib.nullcontext()  # type: ignore[assignment, return-value]
    application = app.build(settings, load_sealer(settings.key_encryption_keys))
    secret, token = os.environ["CLIENT_SECRET"], os.environ["REFRESH_TOKEN"]
    basic = base64.b64encode(f"{options.client_id}:{secret}".encode())
    host = f"127.0.0.1:{settings.listen.port}".encode()
    headers = [(b"host", host), (b"authorization", b"Basic " + basic), (b"content-type", _FORM)]
    uvloop.run(_rotate(application, headers, token, options.requests))


async def _rotate(
    application: Starlette, headers: list[tuple[bytes, bytes]], token: str, requests: int
) -> None:
    async with application.router.lifespan_context(application):
        for _ in range(_WARM_UP):
            token = await _ask(application, headers, token)
        _count("on")
        for _ in range(requests):
            token = await _ask(application, headers, token)
        _count("off")


def _count(switch: str) -> None:
    command = subprocess.Popen(["callgrind_control", "-i", switch, str(os.getpid())])  # noqa: S603, S607 - ours
    # It is heard by a process that is at work; one that sleeps it would have to trace.
    while command.poll() is None:
        pass


async def _ask(application: Starlette, headers: list[tuple[bytes, bytes]], token: str) -> str:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/token",
        "raw_path": b"/token",
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    body = f"grant_type=refresh_token&refresh_token={token}".encode()
    sent: list[Any] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    if sent[0]["status"] != _OK:
        raise SystemExit(f"{sent[0]['status']}: {sent[1]['body']}")
    await asyncio.sleep(0)
    return str(msgspec.json.decode(sent[1]["body"])["refresh_token"])


if __name__ == "__main__":
    main()
