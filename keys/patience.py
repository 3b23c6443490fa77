"""Waiting for something that blocks and may never answer."""

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Callable[..., T], *arguments: Any) -> T:
    """Do blocking work in a thread of its own, and raise TimeoutError if it takes longer.

    The thread goes on then, but keeps no program from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(tell: Callable[[], None]) -> None:
        if not done.done():
            tell()

    def run() -> None:
        try:
            result = work(*arguments)
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            tell: Callable[[], None] = functools.partial(done.set_exception, error)
        else:
            tell = functools.partial(done.set_result, result)
        # The loop is closed when nobody waits any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, tell)

    threading.Thread(target=run, name="patience", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await done
