"""Latency over rate, drawn by gnuplot."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.generator import Result

_SCRIPT = """\
set terminal svg size 800,480 background "white" font "DejaVu Sans,13"
set output "{file}"
set title "Latency over rate: {title}"
set xlabel "requests a second, as intended"
set ylabel "milliseconds from the intended start"
set logscale y
set xrange [0:*]
set grid
set key top left
plot $points using 1:4 with linespoints title "99.9th percentile", \\
     $points using 1:3 with linespoints title "99th percentile", \\
     $points using 1:2 with linespoints title "median"
"""


def draw(points: Sequence[tuple[float, Result]], file: Path, title: str) -> None:
    """Write an SVG file."""
    rows = (f"{rate} {it.p50_ms} {it.p99_ms} {it.p99_9_ms}" for rate, it in points)
    data = "\n".join(["$points << end", *rows, "end", ""])
    script = data + _SCRIPT.format(file=file, title=title)
    subprocess.run(["gnuplot"], input=script, text=True, check=True)  # noqa: S607 - installed
