"""Lose the writer in three ways; a table and, as the last line, the same as a JSON object."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import uvloop

from benchmarks.drill_failover.ledger import Customer, Ledger, numbers, tell, use_all
from benchmarks.machine import this_machine
from benchmarks.prepare import bot_of
from benchmarks.processes import FIRST_TEST_NUMBER, provider
from conf.model import Address
from conf.settings import Settings
from storage.replica_set import ReplicaSet
from tests.storage.links import Links
from tests.storage.nodes import OWNER_PASSWORD, PASSWORD, Nodes

_NUMBERS = 10_000  # test numbers of the provider
_NOWHERE = Address("127.0.0.1", 1)
_HARMS: Mapping[str, Callable[[Nodes], None]] = {
    "kill": lambda nodes: nodes["a"].kill(),
    "freeze": lambda nodes: nodes["a"].freeze(),
    "cut": lambda nodes: nodes.isolate("a"),
}


def main() -> int:
    """Drill as the command line says; the exit code is 1 if anything was lost or failed."""
    options = _options()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    machine = this_machine()
    ledgers = {harm: _drill(harm, options) for harm in options.harms}
    print(f"{'':<8}{'acknowledged':>14}{'lost':>8}{'failed':>8}{'gap, s':>8}")
    for harm, it in ledgers.items():
        print(f"{harm:<8}{it.acknowledged:>14}{it.lost:>8}{it.failed_requests:>8}{it.gap:>8.2f}")
    result = {
        "acknowledged": sum(it.acknowledged for it in ledgers.values()),
        "lost": sum(it.lost for it in ledgers.values()),
        "failed_requests": sum(it.failed_requests for it in ledgers.values()),
        "gap_s": round(max(it.gap for it in ledgers.values()), 3),
        "harms": {
            harm: {
                "acknowledged": it.acknowledged,
                "lost": it.lost,
                "failed_requests": it.failed_requests,
                "gap_s": round(it.gap, 3),
            }
            for harm, it in ledgers.items()
        },
        "customers": options.customers,
        "workers": options.workers,
        "machine": machine,
    }
    print(msgspec.json.encode(result).decode())
    return 1 if result["lost"] or result["failed_requests"] else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make drill-failover ARGS=...", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="of the provider")
    parser.add_argument("--customers", type=int, default=16, help="at once, without a pause")
    parser.add_argument("--seconds", type=float, default=5.0, help="before the loss, and after it")
    parser.add_argument("--notice", type=float, default=0.5, help="seconds until the promotion")
    parser.add_argument("--harms", nargs="+", choices=list(_HARMS), default=list(_HARMS))
    return parser.parse_args()


def _drill(harm: str, options: argparse.Namespace) -> Ledger:
    tell(f"{harm} ...")
    with Links() as links, tempfile.TemporaryDirectory(prefix="idp-drill-") as directory:
        nodes = Nodes(3, links)
        try:
            nodes.start()
            asyncio.run(nodes.promote())
            addresses = ", ".join(f'"127.0.0.1:{node.port}"' for node in nodes.nodes)
            toml = (
                f'[store]\ntopology = "replicated"\naddresses = [{addresses}]\n'
                f'password = "{PASSWORD}"\n'
            )
            with provider(Path(directory), options.workers, toml=toml) as (settings, _):
                return uvloop.run(_lose(harm, nodes, settings, options))
        finally:
            nodes.stop()


async def _lose(harm: str, nodes: Nodes, settings: Settings, options: argparse.Namespace) -> Ledger:
    port, bot, ledger = settings.listen.port, bot_of(settings), Ledger()
    phones = numbers(FIRST_TEST_NUMBER, _NUMBERS)
    customers = [Customer(port, bot, phones, ledger) for _ in range(options.customers)]
    async with asyncio.TaskGroup() as tasks:
        for customer in customers:
            tasks.create_task(customer.run())
        await asyncio.sleep(options.seconds)
        _HARMS[harm](nodes)
        await asyncio.sleep(options.notice)
        began = time.monotonic()
        # Whoever promotes does not reach the old writer: nobody can tell it to stop.
        others = [_NOWHERE, nodes["b"].address, nodes["c"].address]
        lead = await ReplicaSet(others, OWNER_PASSWORD).promote(by="drill", reason=harm)
        tell(f"{harm}: {lead.name} leads after {time.monotonic() - began:.2f} s")
        await asyncio.sleep(options.seconds)
        for customer in customers:
            customer.ending = True
    if harm == "freeze":
        nodes["a"].thaw()
    if nodes.links is not None:
        nodes.links.heal()
    await use_all(port, bot, ledger)
    tell(f"{harm}: {ledger.acknowledged} acknowledged, {ledger.lost} lost, gap {ledger.gap:.2f} s")
    return ledger


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        tell("interrupted")
        sys.exit(128 + signal.SIGINT)
