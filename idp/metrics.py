"""What is measured, and the listener that Prometheus reads it from.

Every process counts into files of its own below one directory; the listener, in the parent, adds
them up. prometheus_client decides for that when it is first imported, so PROMETHEUS_MULTIPROC_DIR
must be set before this module is.
"""

import socket
import threading
from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Iterable, Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, MetricsHandler
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from storage.records import SendingHeld

# Seconds. The system that this one replaces answered in 0.073 on average.
_REQUEST_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_STORE_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0)


class _Histogram(Histogram):
    """A histogram that takes many observations at once."""

    def observe_all(self, amounts: Sequence[float]) -> None:
        self._sum.inc(sum(amounts))
        for index, number in Tally(bisect_left(self._upper_bounds, it) for it in amounts).items():
            self._buckets[index].inc(number)


_requests = Counter("idp_requests", "Requests that were answered.", ("route", "method", "status"))
_request_seconds = _Histogram(
    "idp_request_seconds",
    "From a request's last byte in to its answer.",
    ("route", "method"),
    buckets=_REQUEST_BUCKETS,
)
_store_calls = Counter("idp_store_calls", "Calls of stored procedures.", ("procedure", "outcome"))
_store_seconds = _Histogram(
    "idp_store_call_seconds",
    "From a stored procedure's call to its answer.",
    ("procedure",),
    buckets=_STORE_BUCKETS,
)
# A count in its file takes longer than all else that a request does for it: they wait for `write`,
# and a process that is killed takes those of its last second along.
_answered: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
_called: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

_store_restarts = Counter("idp_store_restarts", "Times that the private Tarantool was restarted.")
_messages = Counter(
    "idp_messages",
    "Messages with codes: submitted, refused, uncertain; later delivered or undelivered.",
    ("provider", "outcome"),
)
_message_circuits = Gauge(
    "idp_message_circuits_open",
    "Workers that leave a message provider alone, because it fails.",
    ("provider",),
    multiprocess_mode="livesum",
)
_message_queue_age = Gauge(
    "idp_message_queue_age_seconds",
    "How long the oldest message had waited when messages were last taken from the queue.",
    multiprocess_mode="livemax",
)

_shed = Counter("idp_requests_shed", "Requests that were refused because too many were there.")

# Every worker reads the same store: the newest answer counts.
_sending_held = Gauge(
    "idp_sending_held",
    "What no messages to strangers are sent for, by kind.",
    ("level",),
    multiprocess_mode="mostrecent",
)
_sending_budget_share = Gauge(
    "idp_sending_budget_share",
    "How much of today's messages is spent; 1 is all.",
    ("key",),
    multiprocess_mode="mostrecent",
)
_LEVELS = ("address", "pair", "network", "prefix", "strangers", "client")


def request(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answered request; `route` is the pattern from the table, never the path."""
    _answered[route, method, status].append(seconds)


def store_call(procedure: str, outcome: str, seconds: float) -> None:
    """Count one call of a procedure; `outcome` is the answer's type or the error's class name."""
    _called[procedure, outcome].append(seconds)


def write() -> None:
    """Write down what requests and store calls were counted since the last time."""
    answered, called = dict(_answered), dict(_called)
    # What cannot be written is lost: kept, it would grow, and part of it be counted twice.
    _answered.clear()
    _called.clear()
    for (route, method, status), seconds in answered.items():
        _requests.labels(route, method, str(status)).inc(len(seconds))
        _request_seconds.labels(route, method).observe_all(seconds)
    for (procedure, outcome), seconds in called.items():
        _store_calls.labels(procedure, outcome).inc(len(seconds))
        _store_seconds.labels(procedure).observe_all(seconds)


def message(provider: str, outcome: str) -> None:
    """Count what became of one message at a message provider."""
    _messages.labels(provider, outcome).inc()


def message_circuit(provider: str, *, is_open: bool) -> None:
    """Show whether this worker leaves a message provider alone."""
    _message_circuits.labels(provider).set(is_open)


def message_queue_age(seconds: int) -> None:
    """Show how long the oldest message had waited that this worker has taken."""
    _message_queue_age.set(seconds)


def shed() -> None:
    """Count one request that was refused unseen."""
    _shed.inc()


def store_restart() -> None:
    """Count one restart of the private Tarantool."""
    _store_restarts.inc()


def sending(held: SendingHeld) -> None:
    """Set what is held back now, and the budgets of today."""
    levels = Tally(cell.key.partition(":")[0] for cell in held.cells)
    for level in _LEVELS:
        _sending_held.labels(level).set(levels[level])
    for budget in held.budgets:
        _sending_budget_share.labels(budget.key).set(budget.spent / budget.budget)


def serve(listener: socket.socket, directory: Path) -> None:
    """Answer on `listener`, in a thread, with the sums over what was counted in `directory`."""
    registry = CollectorRegistry()
    _Collector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    server = ThreadingHTTPServer(
        listener.getsockname()[:2], MetricsHandler.factory(registry), bind_and_activate=False
    )
    server.socket.close()
    server.socket = listener
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Collector(MultiProcessCollector):
    """Adds up what living and dead workers counted; what a dead one showed last is no more."""

    def collect(self) -> Iterable[Metric]:
        for path in Path(self._path).glob("gauge_live*_*.db"):
            pid = path.stem.rpartition("_")[2]
            if not Path(f"/proc/{pid}").exists():
                mark_process_dead(pid, self._path)  # type: ignore[no-untyped-call]
        return super().collect()  # type: ignore[no-untyped-call,no-any-return]
