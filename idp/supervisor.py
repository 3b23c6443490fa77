"""The parent's side of the workers: uvicorn's supervisor, with an end that is bounded in time."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

import structlog
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess

from idp.worker import DRAIN_SECONDS, WorkerConfig

# For what comes after the drain: the application's own shutdown.
_MARGIN_SECONDS = 5
# For a worker that takes another's place: on a busy machine more than what hangs is waited for.
_START_SECONDS = 60

_log: structlog.typing.FilteringBoundLogger = structlog.get_logger("idp.supervisor")


class Supervisor(Multiprocess):
    """Starts the workers, replaces those that die, and ends them all.

    Takes over the process's signals: SIGTERM and SIGINT end `run`, SIGHUP replaces the workers one
    by one, or ends `run` too if `hangup_ends`.
    """

    def __init__(
        self,
        config: WorkerConfig,
        listener: socket.socket,
        gate: Connection,
        *,
        hangup_ends: bool,
    ) -> None:
        super().__init__(config, [listener])
        self.startup_failed = False
        """Whether a worker found that it cannot start, after which no other is tried."""
        self._gate = gate
        self._hangup_ends = hangup_ends
        # Uvicorn hears them between two looks at its workers, but a restart may wait for long. The
        # event is set by a thread: its lock may be held by what the signal interrupts.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: threading.Thread(target=self.should_exit.set).start())

    def init_processes(self) -> None:
        """Start the workers."""
        with _deaf_children():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        """Replace workers that died or hang."""
        for process in self.processes:
            # The worker's end of its pipe: while we hold it, a death during a question looks like
            # silence, for which uvicorn waits 5 seconds.
            process.child_conn.close()
        # One that cannot start because all are ending has not failed.
        ending = self.should_exit.is_set()
        with _deaf_children():
            super().keep_subprocess_alive()
        self.startup_failed = not ending and any(
            worker.exitcode == STARTUP_FAILURE for worker in self.processes
        )

    def restart_all(self) -> None:
        """Replace all workers, one by one."""
        hanging = self.config.timeout_worker_healthcheck
        self.config.timeout_worker_healthcheck = _START_SECONDS
        try:
            with _deaf_children():
                super().restart_all()
        finally:
            self.config.timeout_worker_healthcheck = hanging

    def handle_hup(self) -> None:
        """Act on SIGHUP: the order of a service's operator, or a terminal that was closed."""
        if self._hangup_ends:
            self.should_exit.set()
        else:
            super().handle_hup()

    def terminate_all(self) -> None:
        """Begin the end of every worker."""
        # Else the kernel would go on to accept connections that nobody is going to answer.
        for listener in self.sockets:
            listener.close()
        for process in self.processes:
            if self._gate.closed:
                process.terminate()
            else:
                # It serves nothing yet, and would drain only when the gate opens.
                process.kill()

    def join_all(self) -> None:
        """Wait for the end of every worker; kill those that drain for too long."""
        deadline = time.monotonic() + DRAIN_SECONDS + _MARGIN_SECONDS
        for process in self.processes:
            process.process.join(max(0.0, deadline - time.monotonic()))
            if process.process.is_alive():
                _log.warning("worker_killed", pid=process.pid)
                process.kill()
                process.process.join()


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    # Control-C reaches every process of a terminal, but the parent acts on it for all. Its mask is
    # inherited; the signal itself is not lost, since the parent's other threads take it.
    # Where it is not yet running, multiprocessing starts this process, and unblocks the signal.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
