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

from conf.channels_file import DEMO_CHANNELS, ensure_secret_files, load_channels
from conf.settings import Settings, load
from idp.channels import apply_with_store
from idp.dev import ensure_key_encryption_key

ROOT = Path(__file__).parent.parent
_START_SECONDS = 20.0
_STOP_SECONDS = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")

SETTINGS_FILE = "idp.toml"
TEST_CODE = "000000"
FIRST_TEST_NUMBER = 79990000000
_TEST_NUMBERS = 10_000


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers: its port, and the processes whose work is counted."""

    port: int
    workers: tuple[int, ...]
    tarantool: int


@contextlib.contextmanager
def provider(
    directory: Path, workers: int, *, toml: str = "", fill: Callable[[Path], None] | None = None
) -> Iterator[tuple[Settings, Server]]:
    """A provider with the demo's clients, which development mode alone admits.

    `toml` holds more of its settings, which are in `directory` / `SETTINGS_FILE`. `fill` may put
    rows into the empty directory of its store.
    """
    port, metrics_port = _free_ports(2)
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
last = "+{FIRST_TEST_NUMBER + _TEST_NUMBERS - 1}"
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
    ensure_secret_files([DEMO_CHANNELS], secrets)
    entries = load_channels([DEMO_CHANNELS], secrets_directory=secrets)
    apply_with_store(settings, entries, by="benchmarks")
    with _running(directory / "provider.log", port, "idp", "serve", "--config", str(config)) as pid:
        children = _children(pid)
        server = Server(
            port,
            tuple(child for child, command in children.items() if "spawn_main" in command),
            next(child for child, command in children.items() if "tarantool" in command),
        )
        yield settings, server


@contextlib.contextmanager
def ceiling(settings: Settings, beside: Server) -> Iterator[Server]:
    """The bare application, with as many workers as the provider and on its Tarantool."""
    (port,) = _free_ports(1)
    command = (
        *("uvicorn", "benchmarks.ceiling:create", "--factory", "--port", str(port)),
        *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
        *("--workers", str(settings.workers)),
    )
    log = settings.directory / "ceiling.log"
    environment = {"IDP_SETTINGS": settings.to_json()}
    with _running(log, port, *command, environment=environment) as pid:
        children = _children(pid)
        workers = tuple(child for child, command in children.items() if "spawn_main" in command)
        # Of one worker alone uvicorn makes no process.
        yield Server(port, workers or (pid,), beside.tarantool)


def cpu_seconds(*pids: int) -> float:
    """The processor time that processes have used so far."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        ticks += int(fields[11]) + int(fields[12])  # proc(5): utime, stime
    return ticks / _TICKS


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
def _running(
    log: Path, port: int, module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the arguments are ours
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for us: we end it in order.
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{module} does not answer; it said: {log.read_text()}")
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


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)
        ]
        return [it.getsockname()[1] for it in sockets]


def _children(parent: int) -> dict[int, str]:
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
