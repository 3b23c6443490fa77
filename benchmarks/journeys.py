"""Whole sign-ins per second beside the ceiling, each with a message to a phone.

By the phone grant of a bot and by the authorization challenge endpoint of an app. The generator
takes the messages as an HTTP gateway does, and reads the codes in them. Print a table and, as the
last line, the same as JSON.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from benchmarks.generator import Generator, Messages, Result, Stage, generator
from benchmarks.machine import this_machine
from benchmarks.measure import Measure, Measured
from benchmarks.processes import ceiling, free_ports, provider
from benchmarks.scenarios import CUSTOMERS, WITH_MESSAGES, shares
from benchmarks.targets import ceiling_target, provider_target

_SETTINGS = Path(__file__).with_suffix(".toml")
_WHILE_ALL_REGISTER = 300.0  # seconds, at most
_COLUMNS = ("rate/s", "p50 ms", "p99 ms", "message p50", "message p99", "errors", "of ceiling")
_PROCESSES = ("workers", "tarantool", "generator")


def main() -> int:
    """Measure as the command line says; the exit code is 1 if any answer was wrong."""
    options = _options()
    # As Ctrl-C does, so that nothing is left behind.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    used = ("seconds", "connections", "workers")
    machine = this_machine() | {name: getattr(options, name) for name in used}
    (port,) = free_ports(1)
    toml = _SETTINGS.read_text(encoding="utf-8").replace("PORT", str(port))
    with (
        tempfile.TemporaryDirectory(prefix="idp-bench-") as directory,
        provider(Path(directory), options.workers, toml=toml) as (settings, server),
        ceiling(settings, server) as bare,
        generator(ceiling_target(settings, bare)) as of_ceiling,
        generator(provider_target(settings, server, Messages(f"127.0.0.1:{port}"))) as of_ours,
    ):
        top = Measure(of_ceiling, options.seconds, options.connections).closed("ceiling")
        _register(of_ours, options.connections)
        measure = Measure(of_ours, options.seconds, options.connections)
        found = {name: measure.scenario(name) for name in WITH_MESSAGES}
    print(_table(found, top.rate))
    entries = {name: _entry(it, top.rate) for name, it in found.items()}
    print(msgspec.json.encode(entries | {"machine": machine}).decode())
    return 1 if any(it.errors for it in found.values()) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journeys", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="for each measurement")
    parser.add_argument("--connections", type=int, default=32, help="one customer at each")
    parser.add_argument("--workers", type=int, default=1, help="of the provider and of the ceiling")
    return parser.parse_args()


def _register(ours: Generator, connections: int) -> None:
    """Let every customer sign in to the app once: the first time they are asked for a name."""
    print("... registering", file=sys.stderr)
    stage = Stage(shares("challenge"), _WHILE_ALL_REGISTER, connections, operations=CUSTOMERS)
    ours.run(stage)


def _table(found: Mapping[str, Measured], of_ceiling: float) -> str:
    names = [*_COLUMNS, *(f"CPU {name}" for name in _PROCESSES)]
    widths = [max(len(name), 6) + 2 for name in names]
    lines = [_line("", names, widths)]
    for name, it in found.items():
        opened, cpu = it.opened, _cpu_per_journey(it.closed)
        milliseconds = opened.operation.p50_ms, opened.operation.p99_ms
        of_messages = opened.message.p50_ms, opened.message.p99_ms
        cells = [
            f"{it.closed.operation_rate:,.0f}",
            *(f"{value:.2f}" for value in (*milliseconds, *of_messages)),
            str(it.errors),
            f"{it.closed.operation_rate / of_ceiling:.0%}",
            *(f"{cpu[process]:.2f}" for process in _PROCESSES),
        ]
        lines.append(_line(name, cells, widths))
    return "\n".join(
        [
            *lines,
            "rate/s is the highest, of journeys. Latency is at 70 % of it: all answers together.",
            "CPU is processor milliseconds for a journey.",
            "",
        ]
    )


def _line(name: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"{name:<14}" + "".join(f"{cell:>{it}}" for cell, it in zip(cells, widths, strict=True))


def _entry(it: Measured, of_ceiling: float) -> dict[str, object]:
    opened = it.opened
    return {
        "rate": round(it.closed.operation_rate, 1),
        "latency_at_rate": round(opened.operation_rate, 1),
        "p50_ms": opened.operation.p50_ms,
        "p99_ms": opened.operation.p99_ms,
        "message_p50_ms": opened.message.p50_ms,
        "message_p99_ms": opened.message.p99_ms,
        "errors": it.errors,
        "ratio_to_ceiling": round(it.closed.operation_rate / of_ceiling, 3),
        "cpu_ms_per_journey": _cpu_per_journey(it.closed),
        "cpu_ms_per_journey_at_rate": _cpu_per_journey(opened),
    }


def _cpu_per_journey(result: Result) -> dict[str, float]:
    journeys = max(1, result.operations)
    return {name: round(1000 * it / journeys, 3) for name, it in result.cpu_seconds.items()}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
