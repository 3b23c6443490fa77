"""The parent process: one private Tarantool, N workers, one listener for metrics.

Start: the state directory is taken and the ports are bound, so that a conflict is told before
anything runs; then Tarantool loads its data while the workers import the application; when the
store answers, the gate opens and the workers serve. Stop: the workers drain, then Tarantool ends.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path

import structlog

from conf.decoding import ConfigurationError
from conf.model import Address, Settings
from idp import logs
from idp.readiness import is_ready
from idp.supervisor import Supervisor
from idp.worker import WorkerConfig
from keys.errors import HsmError, SealError
from keys.sealing import Sealer, load_sealer
from storage.child import PrivateTarantool
from storage.elsewhere import StoreElsewhere, store_of
from storage.errors import StoreStartError

APPLICATION = "idp.app:create"

_BACKLOG = 2048
_READY_POLL_SECONDS = 0.02
_CHECK_SECONDS = 0.1
_LEAST_BACK_OFF = 0.1
_MOST_BACK_OFF = 2.0
_STABLE_SECONDS = 10.0

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("idp.serve")


class StartError(Exception):
    """The server could not start or go on; the message is one sentence for an operator."""


def _nothing(*_: object) -> None:
    """Do nothing, as every hook does unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What `idp dev` does beside serving, in the order in which it is called.

    An exception of the first two ends the server, and `run` raises it.
    """

    load: Callable[[], None] = _nothing  # while the store loads its data
    store_ready: Callable[[], None] = _nothing  # requests are answered only afterwards
    serving: Callable[[str | None], None] = _nothing  # once /readyz answered; the metrics' URL
    stopping: Callable[[], None] = _nothing


NO_HOOKS = Hooks()


def run(settings: Settings, hooks: Hooks = NO_HOOKS) -> None:
    """Serve until SIGTERM or SIGINT; what was started is stopped again in any case.

    Raises ConfigurationError, StartError or StoreStartError. Calls the hooks from another thread,
    `stopping` excepted.
    """
    logs.configure(settings.log_format)
    sealer = check_files(settings)
    store = store_of(settings)
    store.lock()
    try:
        _Server(settings, store, sealer, hooks).run()
    finally:
        store.stop()


def check_files(settings: Settings) -> Sealer:
    """Return the key-encryption keys, ready for use.

    Raises ConfigurationError if a source of theirs, or a file that the settings name, is of no use.
    """
    faults = list(_faults_of_certificates(settings))
    try:
        sealer = load_sealer(settings.key_encryption_keys)
    except SealError as error:
        raise ConfigurationError(*error.faults, *faults) from None
    if faults:
        raise ConfigurationError(*faults)
    return sealer


def _faults_of_certificates(settings: Settings) -> Iterator[str]:
    listen = settings.listen
    try:
        if listen.tls_cert is not None and listen.tls_key is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(listen.tls_cert, listen.tls_key)
    except OSError as error:
        pair = f"{listen.tls_cert} and {listen.tls_key}"
        yield f"{pair} are not a certificate and its key: {error.strerror or error}"
    try:
        if settings.ca_file is not None:
            ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        yield f"{settings.ca_file} holds no certificates: {error.strerror or error}"


def bind(what: str, address: Address) -> socket.socket:
    """Return a socket that listens. Raises StartError, which calls the address `what`."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        # Listening, not only bound: two processes may bind one address if neither listens.
        return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise StartError(
            f"{what}: cannot listen on {address.host}, port {address.port}: {reason}"
        ) from None


class _Server:
    """One run of the server: made when the store's directory is taken, it binds the ports."""

    def __init__(
        self,
        settings: Settings,
        store: PrivateTarantool | StoreElsewhere,
        sealer: Sealer,
        hooks: Hooks,
    ) -> None:
        self._began = time.monotonic()
        self._settings = settings
        self._sealer = sealer
        self._store = store
        self._hooks = hooks
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        listener = bind("listen", settings.listen)
        self._metrics_listener = self._bind_metrics()
        self._metrics_directory = _emptied(settings.directory / "metrics")
        # The workers inherit both; prometheus_client needs its own when it is first imported.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(self._metrics_directory)
        os.environ["IDP_SETTINGS"] = settings.to_json()
        waiting, self._gate = Pipe(duplex=False)
        self._supervisor = Supervisor(
            WorkerConfig(settings, waiting, APPLICATION),
            listener,
            self._gate,
            hangup_ends=settings.development,
        )

    def run(self) -> None:
        self._store.launch()
        threading.Thread(target=self._start, name="start", daemon=True).start()
        try:
            self._supervisor.run()
        finally:
            self._stopping.set()
            self._hooks.stopping()
        if self._failure is not None:
            raise self._failure
        if self._supervisor.startup_failed:
            raise StartError("a worker could not start: the reason is in the log, above")
        _log.info("stopped")

    @property
    def _metrics_url(self) -> str | None:
        if self._metrics_listener is None:
            return None
        metrics = self._settings.metrics
        host = f"[{metrics.host}]" if ":" in metrics.host else metrics.host
        return f"http://{host}:{metrics.port}/metrics"

    def _start(self) -> None:
        try:
            self._serve_metrics()
            self._hooks.load()
            self._open_keys()
            self._hooks.store_ready()
        except Exception as error:  # noqa: BLE001  `run` raises it in the main thread
            self._failure = error
            self._supervisor.should_exit.set()
            return
        self._gate.close()
        threading.Thread(target=self._keep_store_alive, name="store", daemon=True).start()
        while not self._stopping.wait(_READY_POLL_SECONDS):
            if is_ready(self._settings.listen):
                _log.info("ready", seconds=round(time.monotonic() - self._began, 2))
                self._hooks.serving(self._metrics_url)
                return

    def _open_keys(self) -> None:
        # Imported here, beside the start of the workers and of the store.
        from keys.life_cycle import LifeCycle  # noqa: PLC0415
        from keys.ring import KeyRing  # noqa: PLC0415
        from storage.store import Store  # noqa: PLC0415

        async def open_keys() -> None:
            store = await Store.open(self._settings)
            try:
                life_cycle = LifeCycle.of(self._settings, store, self._sealer)
                with contextlib.closing(life_cycle):
                    await KeyRing.open(life_cycle, int(time.time()))
            finally:
                await store.close()

        self._store.wait()
        # The first start makes the keys once, and a wrong key-encryption key is told in a sentence.
        try:
            asyncio.run(open_keys())
        except (SealError, HsmError) as error:
            raise StartError(str(error)) from None

    def _keep_store_alive(self) -> None:
        from idp import metrics  # noqa: PLC0415  see _serve_metrics

        back_off = _LEAST_BACK_OFF
        started = time.monotonic()
        while not self._stopping.wait(_CHECK_SECONDS):
            if self._store.alive():
                continue
            if time.monotonic() - started > _STABLE_SECONDS:
                back_off = _LEAST_BACK_OFF
            _log.error("store_died", restart_in_seconds=back_off)
            if self._stopping.wait(back_off):
                return
            back_off = min(2 * back_off, _MOST_BACK_OFF)
            started = time.monotonic()
            try:
                self._store.restart_if_dead()
            except StoreStartError as error:
                _log.error("store_restart_failed", reason=str(error))
            else:
                metrics.store_restart()
                _log.warning("store_restarted", pid=self._store.pid)

    def _bind_metrics(self) -> socket.socket | None:
        try:
            return bind("metrics", self._settings.metrics)
        except StartError as error:
            if not self._settings.development:
                raise
            _log.warning("metrics_off", reason=str(error))
            return None

    def _serve_metrics(self) -> None:
        from idp import metrics  # noqa: PLC0415  its variable must be set first

        if self._metrics_listener is not None:
            metrics.serve(self._metrics_listener, self._metrics_directory)


def _emptied(directory: Path) -> Path:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in directory.glob("*.db"):
            left.unlink()
    except OSError as error:
        raise StartError(f"{directory} cannot be written: {error.strerror}") from None
    return directory
