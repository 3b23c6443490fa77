"""Measure this machine; print a table and, as the last line, the same as a JSON object."""

import argparse
import math
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import prepare
from benchmarks.connection import Connection
from benchmarks.machine import this_machine
from benchmarks.measure import Figures, measure, middle
from benchmarks.processes import Server, ceiling, provider
from benchmarks.report import CEILING, json, table
from benchmarks.users import Account, Ceiling, Exchange, Refresh, User, Userinfo
from conf.settings import Settings
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import load_sealer
from storage.store import Store

_MEASUREMENTS = ("refresh", "exchange", "userinfo")


@dataclass(frozen=True, slots=True)
class _Bench:
    """All that the measurements of one run work with."""

    settings: Settings
    store: Store
    keys: KeyRing
    server: Server
    bare: Server
    accounts: list[Account]

    async def users(self, name: str, codes: int) -> list[User]:
        """The users of one measurement; of each exchange one with so many codes."""
        if name == CEILING:
            return [Ceiling(self.bare.port, self.keys) for _ in self.accounts]
        if name == "refresh":
            return [Refresh(account) for account in self.accounts]
        if name == "userinfo":
            return [Userinfo(account) for account in self.accounts]
        return [
            Exchange(
                account,
                prepare.VERIFIER,
                iter(await prepare.codes(self.settings, self.store, account, codes)),
            )
            for account in self.accounts
        ]

    async def measure(self, name: str, seconds: float, codes: int = 0) -> Figures:
        """One measurement."""
        users = await self.users(name, codes)
        return await measure(name, users, self.bare if name == CEILING else self.server, seconds)


def main() -> int:
    """Measure as the command line says; the exit code is 1 if any answer was wrong."""
    options = _options()
    # As Ctrl-C does, so that nothing is left behind.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    described = this_machine()
    with (
        tempfile.TemporaryDirectory(prefix="idp-bench-") as directory,
        provider(Path(directory), options.workers) as (settings, server),
        ceiling(settings, server) as bare,
    ):
        figures = uvloop.run(_run(options, settings, server, bare))
    machine = described | {
        "workers": options.workers,
        "connections": options.connections,
        "seconds": options.seconds,
        "rounds": options.rounds,
    }
    print(table(figures))
    print(json(figures, machine))
    return 1 if any(it.errors for it in figures.values()) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="for each measurement")
    parser.add_argument("--connections", type=int, default=32, help="one request at a time on each")
    parser.add_argument("--workers", type=int, default=1, help="of the provider and of the ceiling")
    parser.add_argument("--rounds", type=int, default=1, help="the table has their medians")
    parser.add_argument("--only", choices=_MEASUREMENTS, action="append", help="beside the ceiling")
    return parser.parse_args()


async def _run(
    options: argparse.Namespace, settings: Settings, server: Server, bare: Server
) -> dict[str, Figures]:
    names = options.only or _MEASUREMENTS
    found: dict[str, list[Figures]] = {name: [] for name in (*names, CEILING)}
    store = await Store.open(settings)
    bench = await _prepare(settings, store, server, bare, options.connections)
    for _ in range(options.rounds):
        top = await bench.measure(CEILING, options.seconds)
        found[CEILING].append(top)
        # Enough for as long as nothing is faster than the ceiling, the warm-up included.
        codes = math.ceil((options.seconds + 1) * top.rate / options.connections)
        for name in names:
            found[name].append(await bench.measure(name, options.seconds, codes))
    await store.close()
    return {name: middle(rounds) for name, rounds in found.items()}


async def _prepare(
    settings: Settings, store: Store, server: Server, bare: Server, connections: int
) -> _Bench:
    sealer = load_sealer(settings.key_encryption_keys)
    keys = await KeyRing.open(LifeCycle.of(settings, store, sealer), int(time.time()))
    opened = [await Connection.open(server.port) for _ in range(connections)]
    accounts = await prepare.sign_in(settings, keys, opened)
    bench = _Bench(
        settings=settings,
        store=store,
        keys=keys,
        server=server,
        bare=bare,
        accounts=accounts,
    )
    # One exchange each, one after the other as the sign-ins: now everybody has tokens.
    for user, connection in zip(await bench.users("exchange", 1), opened, strict=True):
        request = user.request()
        assert request is not None  # noqa: S101 - there is exactly one
        user.check(*await connection.ask(request))
        connection.close()
    return bench


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
