"""Measure this machine; print a table, draw latency over rate and, as the last line, print JSON."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks import plot, report
from benchmarks.generator import generator
from benchmarks.machine import this_machine
from benchmarks.measure import Measure
from benchmarks.peers.keycloak import keycloak
from benchmarks.peers.node_provider import node_provider
from benchmarks.peers.peer import NotInstalled, Peer
from benchmarks.processes import ROOT, ceiling, provider, start_seconds
from benchmarks.report import Found
from benchmarks.scenarios import CUSTOMERS, SCENARIOS
from benchmarks.targets import ceiling_target, provider_target

_PEERS: dict[str, Callable[[Path], AbstractContextManager[Peer]]] = {
    "node-oidc-provider": node_provider,
    "keycloak": keycloak,
}
_OF_PEERS = ("refresh", "client_credentials")
# A virtual machine compiles what it has run often enough.
_WARM_UP_SECONDS = {"node-oidc-provider": 2.0, "keycloak": 15.0}
_CONNECTIONS_OF_THE_CURVE = 256  # enough for what is late to wait at the server and not at us


def main() -> int:
    """Measure as the command line says; the exit code is 1 if any answer was wrong."""
    options = _options()
    # As Ctrl-C does, so that nothing is left behind.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    used = ("workers", "connections", "seconds", "rounds")
    found = Found(this_machine() | {name: getattr(options, name) for name in used})
    with tempfile.TemporaryDirectory(prefix="idp-bench-") as name:
        directory = Path(name)
        _measure_ours(directory, options, found)
        for peer in [] if options.no_peers else options.peer or _PEERS:
            _measure_peer(peer, directory, options, found)
    if found.curve:
        plot.draw(found.curve, options.plot, f"mix, {options.workers} worker(s)")
        print(f"Latency over rate: {options.plot}", file=sys.stderr)
    print(report.table(found))
    print(report.json(found))
    return 1 if found.errors else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="for each measurement")
    parser.add_argument("--connections", type=int, default=32, help="one request at a time on each")
    parser.add_argument("--workers", type=int, default=1, help="of the provider and of the ceiling")
    parser.add_argument("--rounds", type=int, default=1, help="the table has the middle one")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="beside the ceiling")
    parser.add_argument(
        "--peer", choices=_PEERS, action="append", help="all, unless some are named"
    )
    parser.add_argument("--no-peers", action="store_true", help="only ourselves")
    parser.add_argument(
        "--plot", type=Path, default=ROOT / "build" / "latency.svg", help="where to draw it"
    )
    return parser.parse_args()


def _measure_ours(directory: Path, options: argparse.Namespace, found: Found) -> None:
    names = options.only or SCENARIOS
    with (
        provider(directory, options.workers) as (settings, server),
        ceiling(settings, server) as bare,
        generator(ceiling_target(settings, bare)) as of_ceiling,
        generator(provider_target(settings, server)) as of_ours,
    ):
        found.machine["start_seconds"] = start_seconds(directory)
        of_ours.sign_in(CUSTOMERS)
        for _ in range(options.rounds):
            top = Measure(of_ceiling, options.seconds, options.connections).scenario("ceiling")
            found.ours.setdefault("ceiling", []).append(top)
            for name in names:
                _tell(name)
                measure = Measure(of_ours, options.seconds, options.connections)
                found.ours.setdefault(name, []).append(measure.scenario(name))
        if "mix" in names:
            _tell("latency over rate")
            measure = Measure(of_ours, options.seconds, _CONNECTIONS_OF_THE_CURVE)
            found.curve = measure.latency_over_rate("mix", found.middle("mix").closed.rate)


def _measure_peer(name: str, directory: Path, options: argparse.Namespace, found: Found) -> None:
    _tell(name)
    try:
        with _PEERS[name](directory) as peer, generator(peer.target) as of_peer:
            of_peer.adopt(peer.refresh_tokens)
            measure = Measure(of_peer, options.seconds, options.connections)
            warm_up = Measure(of_peer, _WARM_UP_SECONDS[name] / 2, options.connections)
            found.peers[name] = {}
            for scenario in _OF_PEERS:
                warm_up.closed(scenario)
                found.peers[name][scenario] = measure.scenario(scenario)
            found.machine[name] = peer.description
    except NotInstalled:
        _tell(f"{name} is not installed: left out")


def _tell(what: str) -> None:
    print(f"... {what}", file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
