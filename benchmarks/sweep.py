"""Whether requests feel the sweep of many expired rows.

The same load twice, at one rate: on a store that has nothing to sweep, and on one where expired
sessions with their grants and families are swept all the time. Print a table and, as the last line,
the same as JSON.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.generator import Generator, Result, generator
from benchmarks.machine import this_machine
from benchmarks.measure import Measure
from benchmarks.processes import provider
from benchmarks.scenarios import CUSTOMERS
from benchmarks.size import fill
from benchmarks.targets import provider_target
from storage.owner import Owner

_AIR = 0.5  # of the highest rate: a worker sweeps beside its requests
_WARM_UP_SECONDS = 2.0
_ROWS_PER_SESSION = 3  # itself, its grant and its family
_DAY = 86_400
_ROOM = 256 * 1024 * 1024
_BYTES_PER_SESSION = 800
_COUNT = "return box.space.session:len() + box.space.grant:len() + box.space.refresh:len()"


@dataclass(frozen=True, slots=True)
class _Run:
    """One of the two: the intended rate, what came of it, and the rows that went meanwhile."""

    rate: float
    result: Result
    swept: int
    left: int

    @property
    def errors(self) -> int:
        """All that was not answered as it should be."""
        return self.result.errors + self.result.refused + self.result.unserved


def main() -> int:
    """Measure as the command line says; the exit code is 1 if any answer was wrong."""
    options = _options()
    # As Ctrl-C does, so that nothing is left behind.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    machine = this_machine()
    rounds: dict[str, list[_Run]] = {"without": [], "with": []}
    rate = options.rate
    for _ in range(options.rounds):
        for name, rows in (("without", 0), ("with", options.rows)):
            run = _run(options, rows=rows, rate=rate)
            rounds[name].append(run)
            rate = run.rate
    errors = sum(run.errors for of in rounds.values() for run in of)
    used = ("seconds", "connections", "workers", "rounds")
    machine |= {name: getattr(options, name) for name in used}
    runs = {name: _middle(of) for name, of in rounds.items()}
    print(_table(runs))
    answer = {
        "rows": options.rows,
        "swept": runs["with"].swept,
        "rate": round(rate, 1),
        **{f"p50_ms_{name}": run.result.p50_ms for name, run in runs.items()},
        **{f"p99_ms_{name}": run.result.p99_ms for name, run in runs.items()},
        "errors": errors,
        "machine": machine,
    }
    print(msgspec.json.encode(answer).decode())
    return 1 if errors else 0


def _table(runs: Mapping[str, _Run]) -> str:
    lines = [
        f"{'sweep':<10}{'rate/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'errors':>10}{'swept/s':>10}"
    ]
    for name, run in runs.items():
        it = run.result
        lines.append(
            f"{name:<10}{it.rate:>10,.0f}{it.p50_ms:>10.2f}{it.p99_ms:>10.2f}{run.errors:>10}"
            f"{run.swept / it.seconds:>10,.0f}"
        )
    return "\n".join([*lines, f"{runs['with'].left:,} rows were left to sweep", ""])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="that have expired")
    parser.add_argument("--seconds", type=float, default=30, help="of load, each time")
    parser.add_argument("--connections", type=int, default=32, help="one request at a time on each")
    parser.add_argument("--workers", type=int, default=1, help="of the provider; each sweeps")
    parser.add_argument(
        "--rate", type=float, default=0, help="refreshes a second; half of the highest by default"
    )
    parser.add_argument("--rounds", type=int, default=1, help="the table has the middle ones")
    return parser.parse_args()


def _run(options: argparse.Namespace, *, rows: int, rate: float) -> _Run:
    """Without a rate it is found."""
    sessions = rows // _ROWS_PER_SESSION
    memory = _ROOM + sessions * _BYTES_PER_SESSION

    def expired(store: Path) -> None:
        print(f"filling {rows:,} expired rows", file=sys.stderr)
        fill(store, memory, profiles=0, active=sessions, now=int(time.time()) - 400 * _DAY)

    toml = f"\n[store]\nmemory_bytes = {memory}\n"
    filled = expired if sessions else None
    with (
        tempfile.TemporaryDirectory(prefix="idp-sweep-") as name,
        provider(Path(name), options.workers, toml=toml, fill=filled) as (settings, server),
        generator(provider_target(settings, server)) as ours,
    ):
        owner = Owner.connect(settings.directory / "store")
        try:
            return _measure(options, ours, owner, rate)
        finally:
            owner.close()


def _middle(rounds: Sequence[_Run]) -> _Run:
    return sorted(rounds, key=lambda it: it.result.p99_ms)[len(rounds) // 2]


def _measure(options: argparse.Namespace, ours: Generator, owner: Owner, rate: float) -> _Run:
    ours.sign_in(CUSTOMERS)
    highest = Measure(ours, _WARM_UP_SECONDS, options.connections).closed("refresh")
    rate = rate or _AIR * highest.rate
    before = owner.eval(_COUNT)
    result = Measure(ours, options.seconds, options.connections).at("refresh", rate)
    after = owner.eval(_COUNT)
    return _Run(rate, result, before - after, max(0, after - _ROWS_PER_SESSION * CUSTOMERS))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
