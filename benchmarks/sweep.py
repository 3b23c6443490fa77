"""Whether requests feel the sweep of many expired rows.

The same load twice: on a store that has nothing to sweep, and on one where the provider sweeps
expired sessions with their grants and families all the time. Print a table and, as the last line,
the same as JSON.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvloop

from benchmarks import prepare
from benchmarks.connection import Connection
from benchmarks.machine import this_machine
from benchmarks.measure import Figures, measure
from benchmarks.processes import Server, provider
from benchmarks.size import fill
from benchmarks.users import Exchange, Refresh
from conf.settings import Settings
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import load_sealer
from storage.owner import Owner
from storage.store import Store

_ROWS_PER_SESSION = 3  # itself, its grant and its family
_DAY = 86_400
_ROOM = 256 * 1024 * 1024
_BYTES_PER_SESSION = 800
_COUNT = "return box.space.session:len() + box.space.grant:len() + box.space.refresh:len()"


@dataclass(frozen=True, slots=True)
class _Run:
    """One of the two: what was measured, and how many rows the sweep removed meanwhile."""

    figures: Figures
    swept: int
    left: int


def main() -> None:
    """Measure as the command line says."""
    options = _options()
    machine = this_machine()
    runs = {name: _run(options, rows) for name, rows in (("without", 0), ("with", options.rows))}
    print(f"{'sweep':<10}{'rate/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'errors':>10}{'swept/s':>10}")
    for name, run in runs.items():
        it = run.figures
        print(
            f"{name:<10}{it.rate:>10,.0f}{it.p50_ms:>10.2f}{it.p99_ms:>10.2f}{it.errors:>10}"
            f"{run.swept / options.seconds:>10,.0f}"
        )
    print(f"{runs['with'].left:,} rows were left to sweep")
    answer = {
        "rows": options.rows,
        "swept": runs["with"].swept,
        "p99_ms_without": round(runs["without"].figures.p99_ms, 2),
        "p99_ms_with": round(runs["with"].figures.p99_ms, 2),
        "p50_ms_without": round(runs["without"].figures.p50_ms, 2),
        "p50_ms_with": round(runs["with"].figures.p50_ms, 2),
        "errors": sum(run.figures.errors for run in runs.values()),
        "machine": machine | {"seconds": options.seconds, "connections": options.connections},
    }
    print(msgspec.json.encode(answer).decode())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweep", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="that have expired")
    parser.add_argument("--seconds", type=float, default=30, help="of load, each time")
    parser.add_argument("--connections", type=int, default=8, help="one request at a time on each")
    parser.add_argument("--workers", type=int, default=1, help="of the provider; each sweeps")
    return parser.parse_args()


def _run(options: argparse.Namespace, rows: int) -> _Run:
    with tempfile.TemporaryDirectory(prefix="idp-sweep-") as name:
        sessions = rows // _ROWS_PER_SESSION
        memory = _ROOM + sessions * _BYTES_PER_SESSION

        def expired(store: Path) -> None:
            print(f"filling {rows:,} expired rows", file=sys.stderr)
            fill(store, memory, profiles=0, active=sessions, now=int(time.time()) - 400 * _DAY)

        toml = f"\n[store]\nmemory_bytes = {memory}\n"
        filled = expired if sessions else None
        with provider(Path(name), options.workers, toml=toml, fill=filled) as (settings, server):
            return uvloop.run(_measure(options, settings, server))


async def _measure(options: argparse.Namespace, settings: Settings, server: Server) -> _Run:
    store = await Store.open(settings)
    owner = Owner.connect(settings.directory / "store")
    users = await _users(settings, store, server, options.connections)
    before = owner.eval(_COUNT)
    figures = await measure("refresh", users, server, options.seconds)
    after = owner.eval(_COUNT)
    owner.close()
    await store.close()
    live = _ROWS_PER_SESSION * options.connections
    return _Run(figures, before - after, max(0, after - live))


async def _users(
    settings: Settings, store: Store, server: Server, connections: int
) -> list[Refresh]:
    """Customers who are signed in and hold a refresh token."""
    sealer = load_sealer(settings.key_encryption_keys)
    keys = await KeyRing.open(LifeCycle.of(settings, store, sealer), int(time.time()))
    opened = [await Connection.open(server.port) for _ in range(connections)]
    accounts = await prepare.sign_in(settings, keys, opened)
    for account, connection in zip(accounts, opened, strict=True):
        codes = iter(await prepare.codes(settings, store, account, 1))
        exchange = Exchange(account, prepare.VERIFIER, codes)
        request = exchange.request()
        assert request is not None  # noqa: S101 - there is exactly one code
        exchange.check(*await connection.ask(request))
        connection.close()
    return [Refresh(account) for account in accounts]


if __name__ == "__main__":
    main()
