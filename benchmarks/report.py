"""What a run found, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from benchmarks.generator import Result
from benchmarks.measure import Measured

_CEILING = "ceiling"
_COLUMNS = ("rate/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "errors", "of ceiling")
_PROCESSES = ("workers", "tarantool", "database", "generator")
_MEGABYTE = 1_000_000


@dataclass(slots=True)
class Found:
    """All that one run found: of ourselves by scenario and round, of peers by name and scenario."""

    machine: dict[str, Any]
    ours: dict[str, list[Measured]] = field(default_factory=dict)
    peers: dict[str, dict[str, Measured]] = field(default_factory=dict)
    curve: Sequence[tuple[float, Result]] = ()

    def middle(self, scenario: str) -> Measured:
        """The round whose rate is the median."""
        rounds = sorted(self.ours[scenario], key=lambda it: it.closed.rate)
        return rounds[len(rounds) // 2]

    @property
    def errors(self) -> int:
        """Wrong answers of ourselves; a peer's are its own."""
        return sum(it.errors for rounds in self.ours.values() for it in rounds)

    def ratio(self, scenario: str, other: Measured) -> float:
        """Our rate beside that of somebody else."""
        return self.middle(scenario).closed.rate / max(other.closed.rate, 1e-9)


def table(found: Found) -> str:
    """The figures for people."""
    names = [*_COLUMNS, *(f"CPU {name}" for name in _PROCESSES)]
    width = max(map(len, names)) + 2
    lines = [" " * 42 + "".join(f"{name:>{width}}" for name in names)]
    for scenario in found.ours:
        ratio = found.ratio(scenario, found.middle(_CEILING))
        lines.append(_line(scenario, found.middle(scenario), f"{ratio:.0%}", width))
    for peer, measured in found.peers.items():
        for scenario, it in measured.items():
            lines.append(_line(f"{peer} {scenario}", it, "", width))
            if scenario in found.ours:
                lines.append(f"    we have {found.ratio(scenario, it):.2f} times its rate")
    memory = found.middle(list(found.ours)[-1]).closed.memory_bytes
    held = ", ".join(f"{name} {it / _MEGABYTE:.0f} MB" for name, it in memory.items())
    return "\n".join(
        [
            *lines,
            "rate/s is the highest. Latency is at 70 % of it, from a request's intended start.",
            f"CPU is processor seconds for 1000 requests. Memory: {held}.",
            *(f"{name}: {what}" for name, what in found.machine.items()),
            "",
        ]
    )


def _line(name: str, it: Measured, of_ceiling: str, width: int) -> str:
    opened = it.opened
    milliseconds = opened.p50_ms, opened.p90_ms, opened.p99_ms, opened.p99_9_ms
    cpu = it.closed.cpu_per_1000()
    cells = [
        f"{it.closed.rate:,.0f}",
        *(f"{value:.2f}" for value in milliseconds),
        str(it.errors),
        of_ceiling,
        *(f"{cpu[process]:.3f}" if process in cpu else "" for process in _PROCESSES),
    ]
    return f"{name:<42}" + "".join(f"{cell:>{width}}" for cell in cells)


def json(found: Found) -> str:
    """The figures for programs, in one line."""
    entries: dict[str, object] = {}
    for scenario in found.ours:
        ratios = {"ratio_to_ceiling": found.ratio(scenario, found.middle(_CEILING))}
        for peer, measured in found.peers.items():
            if scenario in measured:
                ratios[f"ratio_to_{peer.replace('-', '_')}"] = found.ratio(
                    scenario, measured[scenario]
                )
        rounded = {name: round(ratio, 3) for name, ratio in ratios.items()}
        entries[scenario] = _entry(found.middle(scenario)) | rounded
    peers = {
        peer: {scenario: _entry(it) for scenario, it in measured.items()}
        for peer, measured in found.peers.items()
    }
    curve = [_point(intended, result) for intended, result in found.curve]
    whole = entries | {"peers": peers, "latency_over_rate": curve, "machine": found.machine}
    return msgspec.json.encode(whole, enc_hook=str).decode()


def _entry(it: Measured) -> dict[str, object]:
    opened = it.opened
    cpu = it.closed.cpu_per_1000()
    return {
        "rate": round(it.closed.rate, 1),
        "operations_per_second": round(it.closed.operation_rate, 1),
        "latency_at_rate": round(opened.rate, 1),
        "p50_ms": opened.p50_ms,
        "p90_ms": opened.p90_ms,
        "p99_ms": opened.p99_ms,
        "p99_9_ms": opened.p99_9_ms,
        "errors": it.errors,
        "cpu_seconds_per_1000": {name: round(value, 4) for name, value in cpu.items()},
        "memory_bytes": it.closed.memory_bytes,
    }


def _point(intended: float, result: Result) -> dict[str, object]:
    return {
        "intended": round(intended, 1),
        "rate": round(result.rate, 1),
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "errors": result.errors,
        "refused": result.refused,
        "unserved": result.unserved,
    }
