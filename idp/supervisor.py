"""The parent's side of the workers: uvicorn's supervisor, with an end that is bounded in time."""

import socket
import time

import structlog
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess

from idp.worker import DRAIN_SECONDS, WorkerConfig

# For what comes after the drain: the application's own shutdown.
_MARGIN_SECONDS = 5

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
        *,
        hangup_ends: bool,
    ) -> None:
        super().__init__(config, [listener])
        self._hangup_ends = hangup_ends

    @property
    def startup_failed(self) -> bool:
        """Whether a worker found that it cannot start, after which no other is tried."""
        return any(worker.exitcode == STARTUP_FAILURE for worker in self.processes)

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
            process.terminate()

    def join_all(self) -> None:
        """Wait for the end of every worker; kill those that drain for too long."""
        deadline = time.monotonic() + DRAIN_SECONDS + _MARGIN_SECONDS
        for process in self.processes:
            process.process.join(max(0.0, deadline - time.monotonic()))
            if process.process.is_alive():
                _log.warning("worker_killed", pid=process.pid)
                process.kill()
                process.process.join()
