"""A real server under test: the command as an operator gives it, and what it left behind."""

import contextlib
import http.client
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from keys.sealing import create_key_encryption_key
from tests.process.processes import descendants, ended, eventually

# Patience with a machine that does other work, no claim: benchmarks/ measures what a start takes.
START_SECONDS = 60.0
STOP_SECONDS = 20.0


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on, below those that the system gives to connections."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < number:
            port = random.randrange(10_000, 32_768)
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(port)
        return ports


KEY_ENCRYPTION_KEYS = '{ id = "tests", file = "key-encryption-key" }'


def configure(
    directory: Path, port: int, metrics_port: int, keys: str = KEY_ENCRYPTION_KEYS
) -> Path:
    """Write what a production server on this machine needs, and return its settings file."""
    key = directory / "key-encryption-key"
    if not key.exists():
        create_key_encryption_key(key)
    path = directory / "idp.toml"
    path.write_text(
        f"""\
issuer = "http://127.0.0.1:{port}"
directory = "var"
key_encryption_keys = [{keys}]
listen = {{ port = {port} }}
metrics = {{ port = {metrics_port} }}
store = {{ memory_bytes = {2**26} }}
test_numbers = [{{ first = "+79990000000", last = "+79990000009", code = "000000" }}]
""",
        encoding="utf-8",
    )
    return path


class Server:
    """One `idp` command that runs, and every process that it started."""

    def __init__(
        self, directory: Path, port: int, *arguments: str, tls: ssl.SSLContext | None = None
    ) -> None:
        self.port = port
        self._tls = tls
        self._output = directory / "output"
        self._seen: dict[int, str] = {}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "idp", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def family(self) -> dict[int, str]:
        """The living processes that the command started, with their command lines."""
        found = descendants(self.pid)
        self._seen |= found
        return found

    def workers(self) -> list[int]:
        return [pid for pid, command in self.family().items() if "spawn_main" in command]

    def tarantool(self) -> int:
        return next(pid for pid, command in self.family().items() if "tarantool" in command)

    def get(self, path: str) -> tuple[int, bytes]:
        connection = (
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            if self._tls is None
            else http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=self._tls)
        )
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ready(self) -> bool:
        assert self.process.poll() is None, self.output
        try:
            return self.get("/readyz")[0] == http.client.OK
        except OSError:
            return False

    def await_ready(self) -> None:
        eventually(self.ready, f"the server is ready; it said: {self.output}", START_SECONDS)
        self.family()

    def interrupt(self) -> int:
        """Press Control-C, which reaches every process, and return the exit code."""
        os.killpg(self.pid, signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def remains(self) -> list[str]:
        """Which of the processes seen so far still live."""
        return [command for pid, command in self._seen.items() if not ended(pid)]

    def clear_away(self) -> None:
        if self.process.poll() is None:
            self.family()
            self.process.kill()
            self.process.wait()
        for pid in self._seen:
            if not ended(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def running(
    directory: Path, port: int, *arguments: str, tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Run a command until its server is ready; leave nothing of it in the end."""
    server = Server(directory, port, *arguments, tls=tls)
    try:
        server.await_ready()
        yield server
    finally:
        server.clear_away()
