"""A worker's part of an operation, driven in this very process so that callgrind can count it.

The application as a worker has it, with a real store, is asked over ASGI; HTTP's own parsing and
the sockets are left out, for how often the kernel wakes a process is not the same twice.
"""

import argparse
import asyncio
import base64
import contextlib
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import msgspec
import uvloop
from starlette.applications import Starlette

from benchmarks.users import SCOPE
from conf.settings import Settings
from flows.grants.names import PHONE_OTP
from idp import app, logs, loops
from idp.outbound import dispatcher
from keys.sealing import load_sealer

_FORM = b"application/x-www-form-urlencoded"
_OK = 200
_WARM_UP = 20  # after which secrets, keys and the client are remembered
_FIRST_PHONE = 79160000000


def main() -> None:
    """Do it, counted `--times` times; the settings of a store that runs are in IDP_SETTINGS."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker_path", description=__doc__)
    parser.add_argument("operation", choices=("refresh", "sign-in"))
    parser.add_argument("--times", type=int, default=1_000)
    parser.add_argument("--client-id", required=True)
    options = parser.parse_args()
    settings = Settings.from_json(os.environ["IDP_SETTINGS"])
    logs.configure(settings.log_format)
    # What goes by the clock is not a request's, and would count by how slow the counting is.
    loops.running = lambda _: contextlib.nullcontext()  # type: ignore[assignment, return-value]
    dispatcher._POLL_SECONDS = 3_600  # noqa: SLF001
    application = app.build(settings, load_sealer(settings.key_encryption_keys))
    basic = base64.b64encode(f"{options.client_id}:{os.environ['CLIENT_SECRET']}".encode())
    host = f"127.0.0.1:{settings.listen.port}".encode()
    headers = [(b"host", host), (b"authorization", b"Basic " + basic), (b"content-type", _FORM)]
    worker = _Worker(application, headers)
    operation = _refresh(worker) if options.operation == "refresh" else _sign_in(worker)
    uvloop.run(_count(application, operation, options.times))


@dataclass(frozen=True, slots=True)
class _Worker:
    application: Starlette
    headers: list[tuple[bytes, bytes]]

    async def ask(self, path: str, form: str) -> dict[str, Any]:
        """Send a form and return the answer's members."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": self.headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        body = form.encode()
        sent: list[Any] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.application(scope, receive, send)
        if sent[0]["status"] != _OK:
            raise SystemExit(f"{sent[0]['status']}: {sent[1]['body']}")
        await asyncio.sleep(0)
        members: dict[str, Any] = msgspec.json.decode(sent[1]["body"])
        return members


_Operation = Callable[[], Awaitable[None]]


def _refresh(worker: _Worker) -> _Operation:
    """Rotate REFRESH_TOKEN."""
    token = os.environ["REFRESH_TOKEN"]

    async def refresh() -> None:
        nonlocal token
        answer = await worker.ask("/token", f"grant_type=refresh_token&refresh_token={token}")
        token = answer["refresh_token"]

    return refresh


def _sign_in(worker: _Worker) -> _Operation:
    """Sign somebody in by the phone grant; the codes of their messages are read from stdin."""
    phone, codes = _FIRST_PHONE, None
    grant, scope = quote_plus(PHONE_OTP), quote_plus(SCOPE)

    async def sign_in() -> None:
        nonlocal phone, codes
        if codes is None:
            codes = asyncio.StreamReader()
            arriving = asyncio.StreamReaderProtocol(codes)
            await asyncio.get_running_loop().connect_read_pipe(lambda: arriving, sys.stdin)
        phone += 1
        started = await worker.ask("/otp", f"phone=%2B{phone}")
        otp = (await codes.readline()).decode().strip()
        session = f"otp_session={started['otp_session']}&otp={otp}"
        await worker.ask("/token", f"grant_type={grant}&scope={scope}&{session}")

    return sign_in


async def _count(application: Starlette, operation: _Operation, times: int) -> None:
    async with application.router.lifespan_context(application):
        for _ in range(_WARM_UP):
            await operation()
        _switch("on")
        for _ in range(times):
            await operation()
        _switch("off")


def _switch(to: str) -> None:
    command = subprocess.Popen(["callgrind_control", "-i", to, str(os.getpid())])  # noqa: S603, S607 - ours
    # It is heard by a process that is at work; one that sleeps it would have to trace.
    while command.poll() is None:
        pass


if __name__ == "__main__":
    main()
