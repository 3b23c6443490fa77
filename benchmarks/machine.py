"""What a result was measured on."""

import os
import platform
import subprocess
from pathlib import Path


def this_machine() -> dict[str, object]:
    """Ask before the measurement: `load_before` is what other programs do."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "tarantool": _tarantool_version(),
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if "model name" in line), "")


def _tarantool_version() -> str:
    said = subprocess.run(["tarantool", "--version"], capture_output=True, text=True, check=True)  # noqa: S607
    return said.stdout.splitlines()[0].removeprefix("Tarantool ")
