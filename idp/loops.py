"""Background work of each worker: following changes, rotating keys, sweeping, counts, the audit."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from flows.provider import Provider
from idp import metrics

_FOLLOW_SECONDS = 0.7  # with its chance and its work, every worker knows within a second
_SWEEP_SECONDS = 5.0
# While a batch goes Tarantool answers nobody: so many rows take half a millisecond.
_SWEEP_ROWS = 30
_BETWEEN_BATCHES = 0.01
_COUNTS_SECONDS = 1.0
_HEAD_SECONDS = 600.0
_PROOF_SECONDS = 2.0
_SENDING_SECONDS = 15.0
_MOST_HELD = 1_000


@contextlib.asynccontextmanager
async def running(provider: Provider) -> AsyncIterator[None]:
    """Run the loops for as long as the context lasts."""
    tasks = [
        asyncio.create_task(_every(_FOLLOW_SECONDS, _follow(provider), provider)),
        # Apart: it may wait for a hardware security module, and a revocation must not.
        asyncio.create_task(
            _every(_FOLLOW_SECONDS, lambda: provider.keys.tend(provider.clock()), provider)
        ),
        asyncio.create_task(_every(_SWEEP_SECONDS, lambda: _sweep(provider), provider)),
        asyncio.create_task(_every(_PROOF_SECONDS, provider.keys.prove, provider)),
        asyncio.create_task(_every(_SENDING_SECONDS, lambda: _measure(provider), provider)),
        asyncio.create_task(_every(_COUNTS_SECONDS, _write_counts, provider)),
        asyncio.create_task(_every(_HEAD_SECONDS, lambda: _note_head(provider), provider)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _write_counts()


async def _every(seconds: float, work: Callable[[], Awaitable[None]], provider: Provider) -> None:
    failing = False
    while True:
        # Many workers run the same loop: they must not all come at once.
        await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        try:
            await work()
            failing = False
        except Exception as error:  # noqa: BLE001 - the work goes on, whatever failed this time
            if not failing:
                provider.log.warning("background_work_failed", reason=repr(error))
            failing = True


def _follow(provider: Provider) -> Callable[[], Awaitable[None]]:
    known: dict[str, int] = {}

    async def follow() -> None:
        current = await provider.store.revisions_read()
        if current.get("clients") != known.get("clients"):
            provider.clients.forget()
            known["clients"] = current["clients"]
        if current.get("keys") != known.get("keys"):
            await provider.keys.reload(provider.clock())
            known["keys"] = current["keys"]
            complain()

    def complain() -> None:
        for fault in provider.keys.faults:
            provider.log.warning("key_unusable", reason=str(fault))

    return follow


async def _sweep(provider: Provider) -> None:
    while await provider.store.sweep(limit=_SWEEP_ROWS, now=provider.clock()) >= _SWEEP_ROWS:  # noqa: ASYNC110
        await asyncio.sleep(_BETWEEN_BATCHES)  # so that requests come between


async def _measure(provider: Provider) -> None:
    held = await provider.store.sending_held(limit=_MOST_HELD, now=provider.clock())
    metrics.sending(held)


async def _write_counts() -> None:
    metrics.write()


async def _note_head(provider: Provider) -> None:
    """Let the log, which is kept elsewhere, know where the audit trail has come to.

    Whoever can write the store's rows could forge the whole chain; `idp audit verify --expect`
    compares it with what was noted.
    """
    ends = await provider.store.audit_ends()
    provider.log.info("audit_head", head=str(ends.head))
