"""Pump messages in several ways; a table and, as the last line, the same as a JSON object."""

import argparse
import os
import random
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import asynctnt
import msgspec
import uvloop

from benchmarks.drill_sms.simulation import BEGINNING, Simulation, Tally
from benchmarks.drill_sms.world import BEYOND, STRATEGIES, Ask, Honest, Strategy, attack
from benchmarks.machine import this_machine
from conf.settings import Otp, Sending
from storage.child import PrivateTarantool
from storage.store import Store

_MEMORY: Final = 256 * 1024 * 1024
_DAY: Final = 86_400
_MOST_SENT: Final = 0.01
_MOST_REFUSED: Final = 0.001
# As an import would: customers of long standing, who have not been here since.
_IMPORT: Final = """
    local phones, at = ...
    for index, phone in ipairs(phones) do
        box.space.customer:insert({
            'old' .. index, phone, at, at, 0, 1, false, box.NULL, box.NULL, box.NULL,
        })
    end
"""


def main() -> int:
    """Drill as the command line says; the exit code is 1 where a target is missed."""
    parser = argparse.ArgumentParser(prog="make drill-sms ARGS=...", description=__doc__)
    parser.add_argument("--seed", type=int, default=20261126, help="of everything that is chance")
    parser.add_argument("--only", default="", help="one strategy, by its name")
    parser.add_argument("--beyond", action="store_true", help="what is not stopped, too")
    options = parser.parse_args()
    machine, began = this_machine(), time.monotonic()
    names = {it.name: it for it in STRATEGIES + (BEYOND if options.beyond or options.only else ())}
    chosen = [names[options.only]] if options.only else list(names.values())
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as processes:
        answers = processes.map(_run, chosen, [options.seed] * len(chosen))
        results = {it.name: answer for it, answer in zip(chosen, answers, strict=True)}
    print(_table(results))
    counted = [results[it.name] for it in chosen if it not in BEYOND] or list(results.values())
    summary = {
        "attacker_asked": sum(it["attacker_asked"] for it in counted),
        **{
            key: max(it[key] for it in counted)
            for key in (
                "attacker_sent_after_first_minute_share",
                "honest_refused_share",
                "detected_after_s",
            )
        },
        "seed": options.seed,
        "seconds": round(time.monotonic() - began, 1),
        "strategies": results,
        "machine": machine,
    }
    print(msgspec.json.encode(summary).decode())
    missed = (
        summary["attacker_sent_after_first_minute_share"] >= _MOST_SENT
        or summary["honest_refused_share"] >= _MOST_REFUSED
    )
    return 1 if missed else 0


def _run(strategy: Strategy, seed: int) -> dict[str, float]:
    return uvloop.run(_drill(strategy, seed))


async def _drill(strategy: Strategy, seed: int) -> dict[str, float]:
    rng = random.Random(seed)
    honest = Honest(rng)
    asks = [*honest.asks(strategy.seconds), *attack(strategy, rng)]
    with tempfile.TemporaryDirectory(prefix="idp-drill-") as directory:
        tarantool = PrivateTarantool(Path(directory), _MEMORY)
        tarantool.start()
        try:
            store = await Store.connect(tarantool.socket_path, tarantool.password, 30.0)
            phones = [phone for phone, _, stranger in honest.people if not stranger]
            await _import(tarantool, phones + [phone for phone, _ in honest.former])
            tally = Tally(begins=strategy.begins)
            simulation = Simulation(store, Otp(), Sending(), tally)
            await simulation.play(_day_before(honest, rng))
            simulation.tally = replace(tally, honest=0, strangers=0, refused=0, proofs=0)
            await simulation.play(asks)
            await store.close()
        finally:
            tarantool.stop()
    return _result(simulation.tally)


def _day_before(honest: Honest, rng: random.Random) -> list[Ask]:
    return [
        Ask(
            at=rng.uniform(-_DAY, -_DAY / 2),
            phone=phone,
            address=address,
            honest=True,
            stranger=False,
            answers_after=20.0,
        )
        for phone, address in honest.former
    ]


async def _import(tarantool: PrivateTarantool, phones: list[str]) -> None:
    owner = asynctnt.Connection(
        host="unix/",
        port=str(tarantool.socket_path),
        username="owner",
        password=(tarantool.directory / "owner.password").read_text(),
        fetch_schema=False,
        auto_refetch_schema=False,
        ping_timeout=0,
    )
    await owner.connect()
    numbers = [int(phone[1:]) for phone in phones]
    await owner.eval(_IMPORT, [numbers, BEGINNING - 30 * _DAY], timeout=30)
    await owner.disconnect()


def _result(tally: Tally) -> dict[str, float]:
    found = tally.detected_after
    return {
        "attacker_asked": tally.asked,
        "attacker_sent": tally.sent,
        "attacker_sent_after_first_minute_share": _share(tally.sent_late, tally.asked_late),
        "honest_asked": tally.honest,
        "honest_refused_share": _share(tally.refused, tally.honest),
        "honest_strangers_refused_share": _share(tally.refused, tally.strangers),
        "honest_worked_share": _share(tally.proofs, tally.honest),
        "detected_after_s": -1.0 if found is None else round(found, 1),
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 5) if whole else 0.0


def _table(results: dict[str, dict[str, float]]) -> str:
    header = (
        "strategy",
        "asked",
        "sent",
        "after 1 min",
        "honest",
        "refused",
        "worked",
        "found after",
    )
    rows = [
        (
            name,
            f"{it['attacker_asked']:.0f}",
            f"{it['attacker_sent']:.0f}",
            f"{it['attacker_sent_after_first_minute_share']:.2%}",
            f"{it['honest_asked']:.0f}",
            f"{it['honest_refused_share']:.3%}",
            f"{it['honest_worked_share']:.1%}",
            f"{it['detected_after_s']:.1f} s",
        )
        for name, it in results.items()
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = (header, *rows)
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


if __name__ == "__main__":
    raise SystemExit(main())
