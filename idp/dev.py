"""`idp dev`: a provider with the group's channels and a demo shop, on one developer's machine."""

import asyncio
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from conf.channels import ChannelEntry
from conf.channels_file import (
    DEMO_CHANNELS,
    GROUP_CHANNELS,
    ensure_secret_files,
    load_channels,
)
from conf.model import Address, Settings
from idp.serve import Hooks, StartError, bind, run
from keys.sealing import create_key_encryption_key
from storage.child import holds_data

_DEMO_HOST = "localhost"
_DEMO_CLIENT = "demo"
_DEMO_SECRET = "demo"
_DEMO_SESSION_SECRET = "demo-session"
_DEMO_PORT_IN_FILE = 8001
_STOP_SECONDS = 3.0
_POLL_SECONDS = 0.02


def dev(settings: Settings, demo_port: int | None) -> None:
    """Serve with development settings; the demo listens on `demo_port`, if there is one.

    Raises what `idp.serve.run` raises, and ConfigurationError for a fault of a channels file.
    """
    development = _Development(settings, demo_port)
    development.prepare()
    hooks = Hooks(
        load=development.load,
        store_ready=development.store_ready,
        serving=development.introduce,
        stopping=development.stop,
    )
    run(settings, hooks)


def ensure_key_encryption_key(settings: Settings) -> None:
    """Make the key-encryption key at the first start. Raises StartError if it is lost."""
    path = settings.key_encryption_keys[0].file
    if path is None or path.exists():
        return
    store = settings.socket_path.parent
    if holds_data(store):
        raise StartError(
            f"the key-encryption key {path} is missing, but {store} holds what it sealed: "
            f"put the key back, or remove {settings.directory} to begin anew"
        )
    create_key_encryption_key(path)


class _Development:
    """What runs beside the server, and what it is told to do before it serves."""

    def __init__(self, settings: Settings, demo_port: int | None) -> None:
        self._settings = settings
        self._demo_port = demo_port
        self._secrets = settings.directory / "secrets"
        self._channels: tuple[ChannelEntry, ...] = ()
        self._demo: subprocess.Popen[bytes] | None = None
        self._demo_origin = f"http://{_DEMO_HOST}:{demo_port}"

    def prepare(self) -> None:
        """Make the secrets, read the channels, and see whether the demo's port is free."""
        files = [GROUP_CHANNELS, DEMO_CHANNELS]
        try:
            self._secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
            ensure_key_encryption_key(self._settings)
            ensure_secret_files(files, self._secrets)
            self._ensure_session_secret()
        except OSError as error:
            raise StartError(
                f"the state directory {self._settings.directory} cannot be used: {error.strerror}"
            ) from None
        entries = load_channels(files, secrets_directory=self._secrets)
        if self._demo_port is not None:
            bind("demo", Address(_DEMO_HOST, self._demo_port)).close()
            entries = tuple(map(self._with_demo_port, entries))
        self._channels = entries

    def load(self) -> None:
        """Import what `store_ready` needs, while the store starts."""
        import idp.channels  # noqa: F401, PLC0415

    def store_ready(self) -> None:
        """Apply the channels, and start the demo."""
        from idp.channels import apply  # noqa: PLC0415

        asyncio.run(apply(self._settings, self._channels, by="idp dev"))
        if self._demo_port is not None:
            self._demo = self._start_demo(self._demo_port)

    def introduce(self, metrics: str | None) -> None:
        """Print where everything is."""
        self._await_demo()
        places = list(self._places(metrics))
        width = max(len(name) for name, _ in places)
        lines = [f"  {name:<{width}}  {place}" for name, place in places]
        sys.stdout.write("\n".join(["", *lines, "", "  Ctrl-C stops", "", ""]))
        sys.stdout.flush()

    def stop(self) -> None:
        """End the demo."""
        if self._demo is not None:
            self._demo.terminate()
            try:
                self._demo.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._demo.kill()
                self._demo.wait()

    def _places(self, metrics: str | None) -> Iterator[tuple[str, str]]:
        settings = self._settings
        yield "provider", settings.issuer
        if self._demo is not None:
            running = self._demo.poll() is None
            yield "demo shop", self._demo_origin if running else "could not start: see above"
        yield "development inbox", f"{settings.issuer}/dev/inbox"
        if metrics is not None:
            yield "metrics", metrics
        yield "state directory", str(settings.directory)
        for numbers in settings.test_numbers:
            yield "sign in with", f"+{numbers.first} and the code {numbers.code}"

    def _start_demo(self, port: int) -> subprocess.Popen[bytes]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("IDP_", "PROMETHEUS_"))
        }
        environment = {
            "DEMO_ISSUER": self._settings.issuer,
            "DEMO_CLIENT_ID": _DEMO_CLIENT,
            "DEMO_CLIENT_SECRET_FILE": str(self._secrets / _DEMO_SECRET),
            "DEMO_HOST": _DEMO_HOST,
            "DEMO_PORT": str(port),
            "DEMO_SESSION_SECRET_FILE": str(self._secrets / _DEMO_SESSION_SECRET),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "idp.demo"],
            env=inherited | environment,
            stdin=subprocess.DEVNULL,
        )

    def _await_demo(self) -> None:
        while self._demo is not None and self._demo.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection((_DEMO_HOST, self._demo_port)).close()
                return
            time.sleep(_POLL_SECONDS)

    def _ensure_session_secret(self) -> None:
        with contextlib.suppress(FileExistsError):
            path = self._secrets / _DEMO_SESSION_SECRET
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32))

    def _with_demo_port(self, entry: ChannelEntry) -> ChannelEntry:
        clients = []
        for client in entry.clients:
            metadata = json.dumps(client.metadata)
            moved = metadata.replace(f":{_DEMO_PORT_IN_FILE}/", f":{self._demo_port}/")
            clients.append(replace(client, metadata=json.loads(moved)))
        return replace(entry, clients=tuple(clients))
