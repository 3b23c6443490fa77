"""How many instructions of the processor a worker needs for a refresh and for a whole sign-in.

They are counted by callgrind: figures that hardly depend on what else a machine does.
"""

import asyncio
import contextlib
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.connection import Connection
from benchmarks.prepare import bot_of, phone_grant
from benchmarks.processes import FIRST_TEST_NUMBER, ROOT, provider
from conf.settings import Settings
from storage.child import PrivateTarantool

_MESSAGES = Path(__file__).with_name("journeys.toml")
_TIMES = 100
_PATIENCE = 300  # seconds
_COLLECTED = re.compile(rb"Collected : (\d+)")


def main() -> None:
    """Count, and print."""
    with (
        tempfile.TemporaryDirectory(prefix="idp-bench-") as directory,
        provider(Path(directory), 1) as (settings, _),
    ):
        print(f"{per_refresh(settings):,.0f} instructions for a refresh", flush=True)
    print(f"{per_sign_in():,.0f} instructions for a sign-in by the phone grant, with its message")


def per_refresh(settings: Settings) -> float:
    """The instructions of one refresh, beside a running provider of these settings."""
    return _counted(settings, "refresh", {"REFRESH_TOKEN": asyncio.run(_sign_in(settings))})


def per_sign_in() -> float:
    """Those of a code that is asked for, its message to an HTTP gateway, and the tokens."""
    with _gateway() as (port, codes), tempfile.TemporaryDirectory(prefix="idp-bench-") as directory:
        toml = _MESSAGES.read_text(encoding="utf-8").replace("PORT", str(port))
        with provider(Path(directory), 1, toml=toml) as (settings, _):
            pass  # keys and clients are made; its worker must not send what is counted
        store = PrivateTarantool(settings.directory / "store", settings.store.memory_bytes)
        store.start()
        try:
            return _counted(settings, "sign-in", {}, stdin=codes)
        finally:
            store.stop()


def _counted(
    settings: Settings, operation: str, environment: dict[str, str], stdin: int | None = None
) -> float:
    bot = bot_of(settings)
    with tempfile.TemporaryDirectory() as directory:
        given = {
            "IDP_SETTINGS": settings.to_json(),
            "PROMETHEUS_MULTIPROC_DIR": directory,
            "CLIENT_SECRET": bot.secret or "",
            "PYTHONHASHSEED": "0",
        }
        command = (
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={directory}/out"),
            "--instr-atstart=no",
            *(sys.executable, "-m", "benchmarks.worker_path", operation),
            *("--client-id", bot.client_id, "--times", str(_TIMES)),
        )
        done = subprocess.run(  # noqa: S603 - ours
            command,
            cwd=ROOT,
            env=os.environ | given | environment,
            stdin=stdin,
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    collected = _COLLECTED.search(done.stderr)
    if done.returncode != 0 or collected is None:
        raise RuntimeError(f"callgrind: {done.stderr.decode(errors='replace')[-2000:]}")
    return int(collected[1]) / _TIMES


async def _sign_in(settings: Settings) -> str:
    port, bot = settings.listen.port, bot_of(settings)
    connection = await Connection.open(port)
    form = await phone_grant(connection, port, bot, f"+{FIRST_TEST_NUMBER}")
    _, body = await connection.ask(bot.post(port, "/token", form))
    connection.close()
    return str(msgspec.json.decode(body)["refresh_token"])


@contextlib.contextmanager
def _gateway() -> Iterator[tuple[int, int]]:
    """A message provider: its port, and the file from which the codes can be read."""
    codes, arriving = os.pipe()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            os.write(arriving, f"{msgspec.json.decode(content)['code']}\n".encode())
            self.send_response(http.HTTPStatus.NO_CONTENT)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, codes
        finally:
            server.shutdown()
            thread.join()
            os.close(codes)
            os.close(arriving)


if __name__ == "__main__":
    main()
