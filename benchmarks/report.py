"""What was measured, as a table and as JSON."""

import msgspec

from benchmarks.measure import Figures

CEILING = "ceiling"
"""The row that the others are compared with."""


def table(figures: dict[str, Figures]) -> str:
    """The figures for people to read."""
    columns = "rate/s", "p50 ms", "p99 ms", "errors", "of ceiling", "worker CPU", "Tarantool CPU"
    lines = [" " * 10 + "".join(f"{column:>15}" for column in columns)]
    top = figures[CEILING].rate
    for name, it in figures.items():
        cells = (
            f"{it.rate:,.0f}",
            f"{it.p50_ms:.2f}",
            f"{it.p99_ms:.2f}",
            str(it.errors),
            f"{it.rate / top:.0%}",
            f"{it.server_cpu:.3f}",
            f"{it.tarantool_cpu:.3f}",
        )
        lines.append(f"{name:<10}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join([*lines, "CPU is processor seconds for 1000 requests.", ""])


def json(figures: dict[str, Figures], machine: dict[str, object]) -> str:
    """The figures as one JSON object, with `machine` beside them."""
    top = figures[CEILING].rate
    entries: dict[str, object] = {}
    for name, it in figures.items():
        entries[name] = {
            "rate": round(it.rate, 1),
            "p50_ms": round(it.p50_ms, 3),
            "p99_ms": round(it.p99_ms, 3),
            "errors": it.errors,
            "ratio_to_ceiling": round(it.rate / top, 3),
            "worker_cpu_seconds_per_1000": round(it.server_cpu, 4),
            "tarantool_cpu_seconds_per_1000": round(it.tarantool_cpu, 4),
        }
    return msgspec.json.encode(entries | {"machine": machine}).decode()
