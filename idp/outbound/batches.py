"""Calls that are made together: what comes while one is under way goes with the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from storage.errors import StoreBug

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

# While a call goes Tarantool answers nobody: so many messages take half a millisecond.
_MOST = 16


class Batches(Generic[_Item, _Answer]):
    """One call at a time for all who ask; alone, each is asked about at once."""

    def __init__(self, call: Callable[[list[_Item]], Awaitable[Sequence[_Answer]]]) -> None:
        """`call` answers for each item in its order, and may be repeated."""
        self._call = call
        self._waiting: list[tuple[_Item, asyncio.Future[_Answer]]] = []
        self._calling: asyncio.Task[None] | None = None

    async def ask(self, item: _Item) -> _Answer:
        """The answer for an item; what the call raises is raised for each item in it."""
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._calling is None or self._calling.done():
            self._calling = asyncio.create_task(self._all())
        return await answer

    async def close(self) -> None:
        """Leave off; nobody may wait any more."""
        if self._calling is not None:
            self._calling.cancel()
            await asyncio.gather(self._calling, return_exceptions=True)

    async def _all(self) -> None:
        while self._waiting:
            # For who went away a message would count as sent that nobody sends.
            waiting = [it for it in self._waiting if not it[1].done()]
            batch, self._waiting = waiting[:_MOST], waiting[_MOST:]
            if batch:
                await self._together(batch)

    async def _together(self, batch: list[tuple[_Item, asyncio.Future[_Answer]]]) -> None:
        try:
            answers = await self._call([item for item, _ in batch])
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:  # noqa: BLE001 - it is raised for those who asked
            if isinstance(error, StoreBug) and len(batch) > 1:
                # Nothing was done for anybody: one must not spoil it for the others.
                for each in batch:
                    await self._together([each])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in answered:
                if not future.done():
                    future.set_result(answer)
