"""What a worker does before the application runs: logs, the watch over its parent, keys, the gate.

Uvicorn pickles its configuration into every worker; this one brings all that along.
"""

import contextlib
import functools
import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import structlog
import uvicorn

from conf.model import Settings
from idp import logs
from idp.connections import BoundedProtocol
from keys.errors import SealError
from keys.sealing import Sealer, load_sealer
from storage.elsewhere import store_of

DRAIN_SECONDS = 10
_WATCH_SECONDS = 0.5
_STORE_POLL_SECONDS = 0.05
_KEYS_RETRY_SECONDS = 1.0
_COLLECT_AFTER = 5_000  # objects more than there were

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("idp.worker")


class WorkerConfig(uvicorn.Config):
    """Uvicorn's configuration for the workers of one server.

    A worker imports the application and has its key-encryption keys at once, and then waits until
    the parent closes its end of `gate` and the store answers: what every request needs is there by
    then. `application` names a function that makes it of the keys.
    """

    def __init__(self, settings: Settings, gate: Connection, application: str) -> None:
        self._log_format = settings.log_format
        self._key_encryption_keys = settings.key_encryption_keys
        self._gate = gate
        self._settings = settings
        listen = settings.listen
        super().__init__(
            application,
            factory=True,
            host=listen.host,
            port=listen.port,
            ssl_certfile=listen.tls_cert,
            ssl_keyfile=listen.tls_key,
            workers=settings.workers,
            loop="uvloop",
            http=BoundedProtocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )

    def configure_logging(self) -> None:
        """Set up the logs; the first that uvicorn calls in a worker, so the watch begins here."""
        logs.configure(self._log_format)
        super().configure_logging()
        parent = multiprocessing.parent_process()
        if parent is not None and parent.pid is not None:
            end_with(parent.pid)

    def load_app(self) -> Any:
        """Import the application, which takes longest, then wait for what it needs."""
        # Nothing is served yet, so there is nothing to drain.
        with _ending_at_once():
            create = super().load_app()
            sealer = self._sealer()
            self._gate.poll(None)
            # A worker may be replaced while the store is being restarted.
            store = store_of(self._settings)
            while not store.answers():
                time.sleep(_STORE_POLL_SECONDS)
        # All modules stay: a full collection that walks over them stalls every request by 20 ms.
        gc.freeze()
        # Requests leave no cycles: to look for them as often as usual is in vain.
        gc.set_threshold(_COLLECT_AFTER)
        return functools.partial(create, sealer)

    def _sealer(self) -> Sealer:
        # The parent could have the keys when it started. A worker that takes a dead one's place may
        # find their source away: if it gave up, uvicorn would end the server with all its workers.
        while True:
            try:
                return load_sealer(self._key_encryption_keys)
            except SealError as error:
                _log.error("key_encryption_keys_unavailable", reason=str(error))
                time.sleep(_KEYS_RETRY_SECONDS)


@contextlib.contextmanager
def _ending_at_once() -> Iterator[None]:
    handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def end_with(parent: int) -> None:
    """End this process within a second after the process `parent` is gone.

    A worker holds the listening socket, so that it would keep the port, but nobody would stop it.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
