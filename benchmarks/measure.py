"""One measurement: every connection asks again as soon as it was answered."""

import asyncio
import math
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.connection import Connection
from benchmarks.processes import Server, cpu_seconds
from benchmarks.users import User, WrongAnswer

_WARM_UP_SECONDS = 0.5
_PROGRESS_SECONDS = 1.0
_FAULTS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found. CPU is processor seconds for 1000 requests."""

    rate: float
    p50_ms: float
    p99_ms: float
    errors: int
    server_cpu: float
    tarantool_cpu: float


@dataclass(slots=True)
class Sample:
    """How long each answer took, and what was wrong with some."""

    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


GoOn = Callable[[Connection, float, Sample], Awaitable[None]]
"""Asks on a connection until a time of `time.perf_counter`."""


async def measure(name: str, users: Sequence[User], server: Server, seconds: float) -> Figures:
    """Let the users ask for `seconds`, each again as soon as it was answered."""
    return await measure_all(name, [partial(_ask, user) for user in users], server, seconds)


async def measure_all(
    name: str, everybody: Sequence[GoOn], server: Server, seconds: float
) -> Figures:
    """Let everybody go on for `seconds`, after a warm-up whose answers are checked but not timed.

    Each has a new connection: the server has closed those that were idle for some seconds.
    """
    connections = [await Connection.open(server.port) for _ in everybody]
    warm_up, sample = Sample(), Sample()
    await _drive(everybody, connections, _WARM_UP_SECONDS, warm_up)
    before = cpu_seconds(*server.workers), cpu_seconds(server.tarantool)
    began = time.perf_counter()
    progress = asyncio.create_task(_tell(name, began, sample))
    await _drive(everybody, connections, seconds, sample)
    took = time.perf_counter() - began
    after = cpu_seconds(*server.workers), cpu_seconds(server.tarantool)
    progress.cancel()
    for connection in connections:
        connection.close()
    faults = warm_up.faults + sample.faults
    for fault in faults[:_FAULTS_TOLD]:
        print(f"{name}: {fault}", file=sys.stderr)
    answers = len(sample.seconds)
    return Figures(
        rate=answers / took,
        p50_ms=percentile(sample.seconds, 0.5) * 1000,
        p99_ms=percentile(sample.seconds, 0.99) * 1000,
        errors=len(faults),
        server_cpu=1000 * (after[0] - before[0]) / max(1, answers),
        tarantool_cpu=1000 * (after[1] - before[1]) / max(1, answers),
    )


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which this part of all values lies; not a number if there are none."""
    ordered = sorted(values) or [math.nan]
    return ordered[int(part * len(ordered))]


def middle(figures: Sequence[Figures]) -> Figures:
    """The medians over several rounds, and all errors."""
    return Figures(
        rate=statistics.median(it.rate for it in figures),
        p50_ms=statistics.median(it.p50_ms for it in figures),
        p99_ms=statistics.median(it.p99_ms for it in figures),
        errors=sum(it.errors for it in figures),
        server_cpu=statistics.median(it.server_cpu for it in figures),
        tarantool_cpu=statistics.median(it.tarantool_cpu for it in figures),
    )


async def _drive(
    everybody: Sequence[GoOn], connections: Sequence[Connection], seconds: float, sample: Sample
) -> None:
    until = time.perf_counter() + seconds
    pairs = zip(everybody, connections, strict=True)
    await asyncio.gather(*(go_on(connection, until, sample) for go_on, connection in pairs))


async def _ask(user: User, connection: Connection, until: float, sample: Sample) -> None:
    clock = time.perf_counter
    began = clock()
    while began < until and (request := user.request()) is not None:
        began = clock()
        try:
            status, body = await connection.ask(request)
            sample.seconds.append(clock() - began)
            user.check(status, body)
        except WrongAnswer as fault:
            sample.faults.append(str(fault))
        except ConnectionError as error:
            sample.faults.append(str(error))
            return
        began = clock()


async def _tell(name: str, began: float, sample: Sample) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        passed = time.perf_counter() - began
        line = f"{name}: {passed:.0f} s, {len(sample.seconds) / passed:,.0f}/s"
        # One line that is written anew; in a log, line after line.
        form = f"\r{line:<40}\r" if sys.stderr.isatty() else f"{line}\n"
        print(form, end="", file=sys.stderr, flush=True)
