"""What the rows of so many customers cost: memory, checkpoint, cold start and calls per second.

The store is filled by a program inside Tarantool, without its write-ahead log; what follows is
measured on the private Tarantool of a server. Print a table and, as the last line, the same as
JSON.
"""

import argparse
import asyncio
import base64
import hashlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from benchmarks.machine import this_machine
from conf.model import Lifetimes
from flows import one_time_code
from keys.hashing import random_id, sha256
from storage import offline
from storage import outcomes as o
from storage.child import PrivateTarantool
from storage.store import Store

CUSTOMERS, ACTIVE = 80_400_000, 23_000_000
GRANTS = 2  # of each active customer, with a family of refresh tokens each

_FILL = Path(__file__).parent / "size.lua"
_CLIENT = "verestovo-app"
_LIFETIMES = Lifetimes()
_ROWS = 10_000_000
_IN_FLIGHT = 64
# Generous: what is not used is not taken from the machine.
_BYTES_PER_PROFILE, _BYTES_PER_ACTIVE = 180, 720


def main() -> None:
    """Measure as the command line says."""
    options = _options()
    active = min(options.rows, options.active if options.active is not None else options.rows)
    memory = 2**28 + options.rows * _BYTES_PER_PROFILE + active * _BYTES_PER_ACTIVE
    machine = this_machine() | {"seconds": options.seconds}
    with tempfile.TemporaryDirectory(prefix="idp-size-") as directory:
        figures = _measure(Path(directory), options.rows, active, memory, options.seconds)
    print(_table(figures))
    print(msgspec.json.encode(figures | {"machine": machine}).decode())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.size", description=__doc__)
    parser.add_argument("--rows", type=int, default=_ROWS, help="profiles")
    parser.add_argument(
        "--active",
        type=int,
        help="of them have a session, a grant and a refresh token; all by default",
    )
    parser.add_argument("--seconds", type=float, default=5, help="of calls")
    options = parser.parse_args()
    if options.rows < 1:
        parser.error("--rows must be at least 1")
    if options.active is not None and options.active < 0:
        parser.error("--active must not be negative")
    return options


def _measure(
    directory: Path, rows: int, active: int, memory: int, seconds: float
) -> dict[str, Any]:
    now = int(time.time())
    _tell(f"filling {rows:,} profiles, {active:,} of them active")
    filled = fill(directory, memory, profiles=rows, active=active, now=now)
    snapshot = max(directory.glob("*.snap"))
    process = PrivateTarantool(directory, memory)
    _tell("starting")
    began = time.monotonic()
    process.start()
    cold_start = time.monotonic() - began
    try:
        _tell("calling")
        calls = uvloop.run(_call(process, active, now, seconds)) if active else {}
    finally:
        process.stop()
    spaces = filled["spaces"]
    figures = {
        "rows": rows,
        "active": active,
        "bytes_per_profile": _bytes(spaces, "customer"),
        "bytes_per_session": _bytes(spaces, "session"),
        "bytes_per_grant": _bytes(spaces, "grant"),
        "bytes_per_refresh_family": _bytes(spaces, "refresh"),
        "cold_start_s": round(cold_start, 2),
        "snapshot_s": round(filled["snapshot_s"], 2),
        "snapshot_bytes": snapshot.stat().st_size,
        "memory_bytes": filled["memory_bytes"],
        "spaces": spaces,
    }
    if active:
        figures["group_bytes"] = _extrapolated(figures)
    return figures | calls


def fill(directory: Path, memory: int, *, profiles: int, active: int, now: int) -> Any:
    """Fill an empty place with rows made at that time; return what size.lua tells of them."""
    order = {
        "profiles": profiles,
        "active": active,
        "now": now,
        "acr": one_time_code.ACR,
        "amr": one_time_code.AMR,
        "lifetimes": msgspec.to_builtins(_LIFETIMES),
    }
    return offline.run(_FILL, directory, memory, order)


def _bytes(spaces: dict[str, Any], name: str) -> float | None:
    return round(spaces[name]["bytes_per_row"], 1) if name in spaces else None


def _extrapolated(figures: dict[str, Any]) -> int:
    """The memory of all customers of the group."""
    grant = figures["bytes_per_grant"] + figures["bytes_per_refresh_family"]
    active = figures["bytes_per_session"] + GRANTS * grant
    return int(CUSTOMERS * figures["bytes_per_profile"] + ACTIVE * active)


async def _call(process: PrivateTarantool, active: int, now: int, seconds: float) -> dict[str, Any]:
    """Refreshes and userinfo by turns, of customers all over the store, from this one process."""
    store = await Store.connect(process.socket_path, process.password, 5.0)
    until = time.monotonic() + seconds
    took: list[float] = []

    async def one(first: int) -> None:
        number = first
        while time.monotonic() < until and number <= active:
            for step in (_refresh, _userinfo):
                began = time.perf_counter()
                await step(store, number, now)
                took.append(time.perf_counter() - began)
            number += max(_IN_FLIGHT, active // 20_000 // _IN_FLIGHT * _IN_FLIGHT)

    began = time.monotonic()
    await asyncio.gather(*(one(first) for first in range(1, _IN_FLIGHT + 1)))
    rate = len(took) / (time.monotonic() - began)
    await store.close()
    p99 = statistics.quantiles(took, n=100)[-1]
    return {"calls_per_s": round(rate), "calls_p99_ms": round(1000 * p99, 2)}


async def _refresh(store: Store, number: int, now: int) -> None:
    grant_id = _id("grant", number)
    answer = await store.refresh_rotate(
        grant_id=grant_id,
        client_id=_CLIENT,
        presented_hash=sha256(f"{grant_id}+"),
        successor_hash=sha256(f"{grant_id}++"),
        scope=None,
        attempt=random_id(),
        lifetimes=_LIFETIMES,
        now=now,
    )
    assert isinstance(answer, o.Rotated), answer  # noqa: S101 - or the figures mean nothing


async def _userinfo(store: Store, number: int, now: int) -> None:
    answer = await store.access_token_read(grant_id=_id("grant", number), jti=random_id(), now=now)
    assert isinstance(answer, o.Active), answer  # noqa: S101 - likewise


def _id(kind: str, number: int) -> str:
    """As size.lua makes it."""
    digest = hashlib.md5(f"{kind}{number}".encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _table(figures: dict[str, Any]) -> str:
    lines = [f"{'space':<12}{'rows':>14}{'bytes/row':>12}{'of indexes':>12}{'filled in s':>13}"]
    for name, it in figures["spaces"].items():
        lines.append(
            f"{name:<12}{it['rows']:>14,}{it['bytes_per_row']:>12.1f}"
            f"{it['index_bytes_per_row']:>12.1f}{it['seconds']:>13.1f}"
        )
    size = figures["snapshot_bytes"] / 2**20
    lines.append(f"checkpoint: {size:,.0f} MiB in {figures['snapshot_s']} s")
    lines.append(f"cold start: {figures['cold_start_s']} s")
    if "calls_per_s" in figures:
        lines.append(f"calls: {figures['calls_per_s']:,}/s, p99 {figures['calls_p99_ms']} ms")
        lines.append(
            f"{CUSTOMERS:,} profiles, and {GRANTS} grants and a session for each of {ACTIVE:,}: "
            f"{figures['group_bytes'] / 1e9:.1f} GB"
        )
    return "\n".join([*lines, ""])


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
