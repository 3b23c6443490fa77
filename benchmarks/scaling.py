"""Does the cost of a request stay flat? A table for each thing that grows; overload; a long mix.

python -m benchmarks.scaling workers connections clients overload
python -m benchmarks.scaling customers --most 10000000
python -m benchmarks.scaling steady --rate 5200 --seconds 600 --workers 2
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.generator import Client, Generator, Result, Target, generator
from benchmarks.machine import this_machine
from benchmarks.measure import Measure
from benchmarks.processes import FIRST_TEST_NUMBER, Server, ceiling, provider
from benchmarks.scenarios import CUSTOMERS
from benchmarks.targets import ceiling_target, provider_target
from conf.settings import Settings

_AIR = 0.6  # of the highest rate: costs are compared at one rate, with nobody waiting
_WORKERS = (1, 2)
_CONNECTIONS = (1, 10, 100, 500, 1_000, 2_000)
_ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
_CLIENTS = (16, 256, 2_048, 10_000)
_BYTES_OF_A_CUSTOMER = 400  # in the store, with its indexes and what allocation leaves over
_MANY_CONNECTIONS = 600  # more than are let in
_USUAL = 32
_MEGABYTE = 1_000_000

Row = dict[str, object]


def main() -> int:
    """Make the tables that the command line names."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", choices=_TABLES, nargs="+")
    parser.add_argument("--seconds", type=float, default=5, help="for each measurement")
    parser.add_argument("--workers", type=int, default=1, help="of the provider")
    parser.add_argument("--most", type=int, default=1_000_000, help="customers")
    parser.add_argument("--rate", type=float, default=5_200, help="requests a second, for steady")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    found: dict[str, object] = {"machine": this_machine()}
    for table in options.table:
        rows = []
        for row in _TABLES[table](options):
            rows.append(row)
            print(table, *(f"{name} {value}" for name, value in row.items()), sep="  ", flush=True)
        found[table] = rows
    print(msgspec.json.encode(found).decode())
    return 0


def _workers(options: argparse.Namespace) -> Iterator[Row]:
    """Each as fast as it goes."""
    for workers in _WORKERS:
        connections = _USUAL * workers
        with _ours(workers) as (settings, server, ours):
            ours.sign_in(CUSTOMERS)
            with (
                ceiling(settings, server) as bare,
                generator(ceiling_target(settings, bare)) as of_ceiling,
            ):
                top = Measure(of_ceiling, options.seconds, connections).closed("ceiling")
            yield {"workers": workers, "scenario": "ceiling"} | _cost(top)
            for name in ("refresh", "mix"):
                result = Measure(ours, options.seconds, connections).closed(name)
                yield {"workers": workers, "scenario": name} | _cost(result)


def _connections(options: argparse.Namespace) -> Iterator[Row]:
    """All of them take turns in refreshing, at one rate."""
    with _ours(options.workers) as (_, _, ours):
        ours.sign_in(max(_CONNECTIONS))
        # Over one connection each answer is waited for: there is a lower end to the rate.
        slowest = Measure(ours, options.seconds, 1).closed("refresh")
        for connections in _CONNECTIONS:
            measure = Measure(ours, options.seconds, connections)
            yield {"connections": connections} | _cost(measure.at("refresh", _AIR * slowest.rate))


def _customers(options: argparse.Namespace) -> Iterator[Row]:
    """Sign-ins, refreshes and userinfo of a few, among ever more."""
    memory = 2**28 + options.most * _BYTES_OF_A_CUSTOMER
    with _ours(options.workers, f"[store]\nmemory_bytes = {memory}\n") as (settings, _, ours):
        rates: dict[str, float] = {}
        there = 0
        for rows in (rows for rows in _ROWS if rows <= options.most):
            _fill(settings, "customers", rows - there, str(FIRST_TEST_NUMBER + there))
            there = rows
            ours.sign_in(CUSTOMERS)
            yield from _at_one_rate(ours, rates, options, {"customers": rows})


def _clients(options: argparse.Namespace) -> Iterator[Row]:
    """Refreshes of customers of ever more clients."""
    with _ours(options.workers) as (settings, server, _):
        target = provider_target(settings, server)
        like = target.clients[-1]
        _fill(settings, "clients", max(_CLIENTS), like.client_id)
        rates: dict[str, float] = {}
        for number in _CLIENTS:
            with generator(_of_clients(target, like, number)) as ours:
                ours.sign_in(number)
                yield from _at_one_rate(ours, rates, options, {"clients": number}, ("refresh",))


def _overload(options: argparse.Namespace) -> Iterator[Row]:
    """Twice what it can do: the rest must be refused, and what it can do must be done."""
    with _ours(options.workers) as (_, _, ours):
        ours.sign_in(_MANY_CONNECTIONS)
        highest = Measure(ours, options.seconds, _USUAL).closed("refresh")
        yield {"load": "its highest"} | _cost(highest)
        for load in (1.0, 2.0, 2.0, 2.0):
            result = Measure(ours, options.seconds, _MANY_CONNECTIONS).at(
                "refresh", load * highest.rate
            )
            yield {"load": load} | _cost(result)
        yield {"load": "its highest"} | _cost(
            Measure(ours, options.seconds, _USUAL).closed("refresh")
        )


def _steady(options: argparse.Namespace) -> Iterator[Row]:
    """The mix at one rate, for as long as --seconds says."""
    with _ours(options.workers) as (_, _, ours):
        ours.sign_in(CUSTOMERS)
        yield _cost(Measure(ours, options.seconds, CUSTOMERS).at("mix", options.rate))


_TABLES: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "workers": _workers,
    "connections": _connections,
    "customers": _customers,
    "clients": _clients,
    "overload": _overload,
    "steady": _steady,
}


@contextmanager
def _ours(workers: int, toml: str = "") -> Iterator[tuple[Settings, Server, Generator]]:
    with (
        tempfile.TemporaryDirectory(prefix="idp-bench-") as directory,
        provider(Path(directory), workers, toml=toml) as (settings, server),
        generator(provider_target(settings, server)) as ours,
    ):
        yield settings, server, ours


def _at_one_rate(
    ours: Generator,
    rates: dict[str, float],
    options: argparse.Namespace,
    row: Row,
    scenarios: tuple[str, ...] = ("journey", "refresh", "userinfo"),
) -> Iterator[Row]:
    """Measure at the rate that was found with the fewest."""
    measure = Measure(ours, options.seconds, _USUAL)
    for name in scenarios:
        if name not in rates:
            rates[name] = _AIR * measure.closed(name).rate
        yield row | {"scenario": name} | _cost(measure.at(name, rates[name]))


def _of_clients(target: Target, like: Client, number: int) -> Target:
    clients = [
        Client(f"{like.client_id}-{index + 1}", "", like.redirect_uri, like.scope)
        for index in range(number)
    ]
    return msgspec.structs.replace(target, clients=clients)


def _fill(settings: Settings, what: str, number: int, first: str) -> None:
    password = (settings.directory / "store" / "owner.password").read_text(encoding="ascii")
    environment = {"STORE_SOCKET": str(settings.socket_path), "OWNER_PASSWORD": password.strip()}
    script = str(Path(__file__).parent / "fill.lua")
    subprocess.run(  # noqa: S603 - ours
        ["tarantool", script, what, str(number), first],  # noqa: S607 - as the server finds it
        env=os.environ | environment,
        check=True,
    )


def _cost(result: Result) -> Row:
    cpu = {f"{name}_cpu": round(value, 3) for name, value in result.cpu_per_1000().items()}
    memory = {f"{name}_mb": round(value / _MEGABYTE) for name, value in result.memory_bytes.items()}
    return {
        "rate": round(result.rate),
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "errors": result.errors + result.unserved,
        "refused": result.refused,
        **cpu,
        **memory,
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
