"""What the tests of real processes share."""

import time
from collections.abc import Callable
from pathlib import Path


def ended(pid: int) -> bool:
    """Whether the process is gone, or dead and only not yet waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state.startswith("Z")


def eventually(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> float:
    """Wait for a condition and return the seconds that it took; fail after `seconds`.

    These are patience with a machine that does other work, and no claim.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"did not come true in {seconds} s: {what}")
        time.sleep(0.01)
    return time.monotonic() - began


def descendants(pid: int) -> dict[int, str]:
    """The living processes below one, with their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and not ended(int(entry.name)):
            try:
                fields = (entry / "stat").read_text(encoding="utf-8").rpartition(") ")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(fields[1])
    found: dict[int, str] = {}
    wanted = {pid}
    while wanted:
        wanted = {child for child, parent in parents.items() if parent in wanted}
        found |= {child: _command(child) for child in wanted}
    return found


def _command(pid: int) -> str:
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace")
