"""The guard: refreshes beside the bare ceiling, and a worker's instructions for one, in a minute.

The exit code is 1 if either is worse than floors.toml allows, or an answer was wrong.
"""

import argparse
import signal
import statistics
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from benchmarks import instructions
from benchmarks.generator import generator
from benchmarks.machine import this_machine
from benchmarks.measure import Measure
from benchmarks.processes import ceiling, provider
from benchmarks.scenarios import CUSTOMERS
from benchmarks.targets import ceiling_target, provider_target

_FLOORS = Path(__file__).parent / "floors.toml"
_CONNECTIONS = 32


class _Guarded(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ratio_to_ceiling: float
    instructions_per_refresh: float


def main() -> int:
    """Compare as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quick", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each of the two, in turn")
    parser.add_argument("--seconds", type=float, default=2, help="for each round")
    parser.add_argument("--no-instructions", action="store_true", help="only the ratio")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    floors = msgspec.convert(tomllib.loads(_FLOORS.read_text(encoding="utf-8")), _Guarded)
    machine = this_machine()
    with (
        tempfile.TemporaryDirectory(prefix="idp-bench-") as directory,
        provider(Path(directory), 1) as (settings, server),
    ):
        with (
            ceiling(settings, server) as bare,
            generator(ceiling_target(settings, bare)) as of_ceiling,
            generator(provider_target(settings, server)) as of_ours,
        ):
            of_ours.sign_in(CUSTOMERS)
            top = Measure(of_ceiling, options.seconds, _CONNECTIONS)
            ours = Measure(of_ours, options.seconds, _CONNECTIONS)
            found = _compare(top, ours, options.rounds)
        if not options.no_instructions:
            found["instructions_per_refresh"] = instructions.per_refresh(settings)
    faults = list(_faults(found, floors))
    for fault in faults:
        print(f"refresh: {fault}", file=sys.stderr)
    print(msgspec.json.encode({"refresh": found, "machine": machine}).decode())
    return 1 if faults else 0


def _compare(top: Measure, ours: Measure, rounds: int) -> dict[str, float]:
    """The medians of the rounds' ratios, of rates and of what a worker spends; wrong answers."""
    ratios, ratios_of_cpu, errors = [], [], 0
    for _ in range(rounds):
        bare, refresh = top.closed("ceiling"), ours.closed("refresh")
        errors += bare.errors + refresh.errors + refresh.refused
        ratios.append(refresh.rate / bare.rate)
        spent = (it.cpu_per_1000()["workers"] for it in (refresh, bare))
        ratios_of_cpu.append(next(spent) / next(spent))
        print(f"refresh {refresh.rate:,.0f}/s, ceiling {bare.rate:,.0f}/s", file=sys.stderr)
    return {
        "ratio_to_ceiling": statistics.median(ratios),
        "cpu_ratio_to_ceiling": statistics.median(ratios_of_cpu),
        "errors": errors,
    }


def _faults(found: Mapping[str, float], floors: _Guarded) -> Iterator[str]:
    if found["errors"]:
        yield f"{found['errors']} wrong answers"
    if found["ratio_to_ceiling"] < floors.ratio_to_ceiling:
        ratio = found["ratio_to_ceiling"]
        yield f"{ratio:.0%} of the ceiling, and the floor is {floors.ratio_to_ceiling:.0%}"
    counted = found.get("instructions_per_refresh", 0)
    if counted > floors.instructions_per_refresh:
        allowed = floors.instructions_per_refresh
        yield f"{counted:,.0f} instructions, and {allowed:,.0f} are allowed"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
