"""The private Tarantool: a child process on a unix socket below the state directory."""

import contextlib
import datetime as dt
import fcntl
import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from storage.errors import StoreStartError

_PROGRAM = Path(__file__).parent / "lua" / "init.lua"
# sockaddr_un holds 108 bytes with its final zero; Tarantool needs a few for itself.
_SOCKET_PATH_BYTES = 100
GREETING = b"Tarantool"
# A Tarantool whose parent was killed looks for it every half second.
_PREDECESSOR_SECONDS = 5.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.01
_LOG_TAIL_BYTES = 16384
# As Tarantool writes it: time, process, fiber, source, level, "> ", text.
_ERROR_LINE = re.compile(r" [FCE!]> (?P<text>.+)$|^(?P<lua>\w*Error: .+)$")
_UNINFORMATIVE = "fatal error, exiting the event loop"


class StoreInUseError(StoreStartError):
    """Another process holds the directory; the message names it."""


class PrivateTarantool:
    """One Tarantool process and the directory that it keeps its data in.

    The directory belongs to at most one PrivateTarantool of all processes at a time, from `lock`
    to `stop`. The Tarantool process ends by itself when the process that started it is gone.
    Every method may be called from any thread; all raise StoreStartError with one sentence.
    """

    def __init__(self, directory: Path, memory_bytes: int) -> None:
        self.directory = directory.absolute()
        self.socket_path = self.directory / "tarantool.sock"
        self.log_path = self.directory / "tarantool.log"
        self._memory_bytes = memory_bytes
        self._mutex = threading.Lock()
        self._stopped = False
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def start(self) -> None:
        """Take the directory, start the process and return when its socket answers."""
        try:
            self.lock()
            self.launch()
            self.wait()
        except StoreStartError:
            self.stop()
            raise

    def lock(self) -> None:
        """Make the directory if need be, and take it; raises StoreInUseError if it is taken."""
        if len(os.fsencode(self.socket_path)) > _SOCKET_PATH_BYTES:
            raise StoreStartError(
                f"the path {self.socket_path} is too long for a unix socket "
                f"(at most {_SOCKET_PATH_BYTES} bytes): choose a shorter state directory"
            )
        with self._usable_directory():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(lock, 0)
                os.pwrite(lock, json.dumps(_me()).encode(), 0)
            except BlockingIOError:
                holder = os.pread(lock, 4096, 0)
                os.close(lock)
                raise StoreInUseError(
                    f"the state directory {self.directory} is in use by {_describe(holder)}"
                ) from None
            except OSError:
                os.close(lock)
                raise
        self._lock = lock

    def launch(self) -> None:
        """Start the process without waiting for it; the directory must have been taken."""
        binary = tarantool_binary()
        with self._usable_directory():
            environment = self._environment()
            # The running Tarantool alone holds this lock, so that a new one waits for its end.
            running = os.open(self.directory / "running", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._await_predecessor(running)
                with _open_private(self.log_path, "a") as log, self._mutex:
                    if self._stopped:
                        raise StoreStartError("the store is being stopped")
                    self._log_start = log.tell()
                    self._process = subprocess.Popen(  # noqa: S603  the arguments are ours
                        [binary, str(_PROGRAM)],
                        cwd=self.directory,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        umask=0o077,
                        start_new_session=True,
                        pass_fds=(running,),
                    )
            finally:
                os.close(running)

    def answers(self) -> bool:
        """Whether the process listens; it does so last, when all else is ready."""
        return greets(self.socket_path)

    def wait(self) -> None:
        """Return when the socket answers, however long the data take to load."""
        while not self.answers():
            if not self.alive():
                raise StoreStartError(
                    f"Tarantool could not start: {self._last_error()} (log: {self.log_path})"
                )
            time.sleep(_POLL_SECONDS)

    def alive(self) -> bool:
        """Whether the process runs; says nothing about whether it answers."""
        return self._process is not None and self._process.poll() is None

    def restart_if_dead(self) -> bool:
        """Start the process anew if it ended, and tell whether it did so."""
        if self.alive():
            return False
        self.launch()
        self.wait()
        return True

    def stop(self) -> None:
        """End the process (SIGTERM, SIGKILL after 5 seconds) and give the directory free."""
        with self._mutex:
            self._stopped = True
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            self.socket_path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def pid(self) -> int | None:
        """The process that was started last, if any."""
        return self._process.pid if self._process is not None else None

    @property
    def password(self) -> str:
        """The password of the server's user; made on first use."""
        return _password(self.directory / "password")

    def _environment(self) -> dict[str, str]:
        return {
            # Nothing else is inherited: the parent's environment may hold secrets of channels.
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "IDP_STORE_DIRECTORY": str(self.directory),
            "IDP_STORE_SOCKET": str(self.socket_path),
            "IDP_STORE_PASSWORD": self.password,
            "IDP_OWNER_PASSWORD": _password(self.directory / "owner.password"),
            "IDP_STORE_MEMORY": str(self._memory_bytes),
            "IDP_PARENT_PID": str(os.getpid()),
        }

    def _await_predecessor(self, running: int) -> None:
        deadline = time.monotonic() + _PREDECESSOR_SECONDS
        while True:
            try:
                fcntl.flock(running, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreStartError(
                        f"a Tarantool of an earlier server still uses {self.directory}: end it"
                    ) from None
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _last_error(self) -> str:
        with self.log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        for line in reversed(lines):
            found = _ERROR_LINE.search(line)
            text = found and (found["text"] or found["lua"])
            if text and text != _UNINFORMATIVE:
                return text
        return lines[-1] if lines else "it ended without a word"

    @contextlib.contextmanager
    def _usable_directory(self) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, NotADirectoryError):
            raise StoreStartError(
                f"{self.directory} cannot be the state directory: there is a file in its place"
            ) from None
        except OSError as error:
            raise StoreStartError(
                f"the state directory {self.directory} cannot be used: {error.strerror}"
            ) from None


def tarantool_binary() -> str:
    """The program `tarantool`. Raises StoreStartError if there is none."""
    binary = shutil.which("tarantool")
    if binary is None:
        raise StoreStartError(
            "the program `tarantool` was not found: install Tarantool 2.6 or newer "
            "(on Debian and Ubuntu: apt-get install tarantool) or put it on PATH"
        )
    return binary


def greets(socket_path: Path) -> bool:
    """Whether a Tarantool listens on this socket."""
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.settimeout(1)
        client.connect(str(socket_path))
        return client.recv(len(GREETING)) == GREETING
    return False


def holds_data(directory: Path) -> bool:
    """Whether a Tarantool has ever kept data in this directory."""
    return any(next(directory.glob(pattern), None) for pattern in ("*.snap", "*.xlog"))


def _password(path: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="ascii")
    password = secrets.token_urlsafe(32)
    # Written beside and renamed: a crash in between leaves no empty password.
    draft = path.with_suffix(f".{os.getpid()}")
    with _open_private(draft, "w") as file:
        file.write(password)
    draft.rename(path)
    return password


def _open_private(path: Path, mode: str) -> IO[str]:
    return open(
        path, mode, encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)
    )


def _me() -> dict[str, str | int]:
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    command = shlex.join([name, *sys.argv[1:]])
    return {"pid": os.getpid(), "command": command, "since": int(time.time())}


def _describe(holder: bytes) -> str:
    try:
        found = json.loads(holder)
        since = dt.datetime.fromtimestamp(found["since"], dt.UTC)
        return f"process {found['pid']} ({found['command']}) since {since:%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, KeyError, TypeError):
        # It has taken the lock in this very moment.
        return "another process"
