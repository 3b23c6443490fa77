"""The processes under measurement: started, looked at in /proc, and ended by their identifiers."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from conf.channels_file import DEMO_CHANNELS, ensure_secret_files, load_channels
from conf.settings import Settings, load
from idp.channels import apply_with_store
from idp.dev import ensure_key_encryption_key

ROOT = Path(__file__).parent.parent
CHANNELS = Path(__file__).parent / "channels.toml"
_START_SECONDS = 20.0
_STOP_SECONDS = 20.0

_LOG = "provider.log"
SETTINGS_FILE = "idp.toml"
TEST_CODE = "000000"
FIRST_TEST_NUMBER = 79990000000
TEST_NUMBERS = 1_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers: its port, and the processes whose work is counted.

    No `tarantool` is its child where the store is elsewhere.
    """

    port: int
    workers: tuple[int, ...]
    tarantool: tuple[int, ...]

    @property
    def processes(self) -> dict[str, tuple[int, ...]]:
        """What the tables call them."""
        return {"workers": self.workers, "tarantool": self.tarantool}


@contextlib.contextmanager
def provider(
    directory: Path, workers: int, *, toml: str = "", fill: Callable[[Path], None] | None = None
) -> Iterator[tuple[Settings, Server]]:
    """A provider with the demo's clients, which development mode alone admits.

    `toml` holds more of its settings, which are in `directory` / `SETTINGS_FILE`. `fill` may put
    rows into the empty directory of its store.
    """
    port, metrics_port = free_ports(2)
    config = directory / SETTINGS_FILE
    config.write_text(
        f"""\
issuer = "http://127.0.0.1:{port}"
development = true
directory = "{directory}"
workers = {workers}
log_format = "json"
listen = {{ port = {port} }}
metrics = {{ port = {metrics_port} }}

[[test_numbers]]
first = "+{FIRST_TEST_NUMBER}"
last = "+{FIRST_TEST_NUMBER + TEST_NUMBERS - 1}"
code = "{TEST_CODE}"
{toml}""",
        encoding="utf-8",
    )
    settings = load(config)
    ensure_key_encryption_key(settings)
    if fill is not None:
        (directory / "store").mkdir(mode=0o700)
        fill(directory / "store")
    secrets = directory / "secrets"
    secrets.mkdir(mode=0o700)
    channels = [DEMO_CHANNELS, CHANNELS]
    ensure_secret_files(channels, secrets)
    entries = load_channels(channels, secrets_directory=secrets)
    apply_with_store(settings, entries, by="benchmarks")
    command = sys.executable, "-m", "idp", "serve", "--config", str(config)
    with running(directory / _LOG, port, *command) as pid:
        children = children_of(pid)
        server = Server(
            port,
            tuple(child for child, command in children.items() if "spawn_main" in command),
            tuple(child for child, command in children.items() if "tarantool" in command),
        )
        yield settings, server


def start_seconds(directory: Path) -> float:
    """How long the provider in `directory` took from its start to its first answer."""
    lines = (directory / _LOG).read_text(encoding="utf-8").splitlines()
    told = (msgspec.json.decode(line) for line in lines if '"ready"' in line)
    return next(float(it["seconds"]) for it in told if it["event"] == "ready")


@contextlib.contextmanager
def ceiling(settings: Settings, beside: Server) -> Iterator[Server]:
    """The bare application, with as many workers as the provider and on its Tarantool."""
    (port,) = free_ports(1)
    command = (
        *(
            sys.executable,
            "-m",
            "uvicorn",
            "benchmarks.ceiling:create",
            "--factory",
            "--port",
            str(port),
        ),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
        *("--workers", str(settings.workers)),
    )
    log = settings.directory / "ceiling.log"
    environment = {"IDP_SETTINGS": settings.to_json()}
    with running(log, port, *command, environment=environment) as pid:
        children = children_of(pid)
        workers = tuple(child for child, command in children.items() if "spawn_main" in command)
        # Of one worker alone uvicorn makes no process.
        yield Server(port, workers or (pid,), beside.tarantool)


def worker_of(server: Server, client_port: int) -> int | None:
    """The worker that has accepted the connection from `client_port`; None if none has yet."""
    ends = f"0100007F:{server.port:04X}", f"0100007F:{client_port:04X}"
    table = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    entries = (line.split() for line in table)
    inode = next((it[9] for it in entries if (it[1], it[2]) == ends), "0")
    for pid in server.workers:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            # It may be closed while we look.
            with contextlib.suppress(FileNotFoundError):
                if str(descriptor.readlink()) == f"socket:[{inode}]":
                    return pid
    return None


@contextlib.contextmanager
def running(
    log: Path,
    port: int,
    *command: str,
    environment: Mapping[str, str] | None = None,
    patience: float = _START_SECONDS,
) -> Iterator[int]:
    """Run a server, and wait until it answers on `port`; ended at the end, with its process id."""
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the arguments are ours
            command,
            cwd=ROOT,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for us: we end it in order.
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + patience
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not answer; it said: {log.read_text()}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def free_ports(number: int) -> list[int]:
    """Ports of the loopback interface on which nobody listens."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)
        ]
        return [it.getsockname()[1] for it in sockets]


def children_of(parent: int) -> dict[int, str]:
    """The processes that one has started, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            # Others may end while we look.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if int(_stat(int(entry.name))[1]) == parent:
                    command = (entry / "cmdline").read_bytes()
                    found[int(entry.name)] = command.replace(b"\0", b" ").decode()
    return found


def _stat(pid: int) -> list[str]:
    # proc(5): the name, in parentheses, may hold anything.
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
