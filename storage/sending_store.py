"""The store contract's part for what messages cost: budgets, the conversion watch and blocks."""

import msgspec

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import By, SendingCells, SendingHeld


class SendingStore(Procedures):
    """What every message is counted against; counting itself is a part of starting a challenge."""

    async def sending_cells(
        self, level: str, *, after: str | None = None, limit: int, now: int
    ) -> SendingCells:
        """The next `limit` cells of a level of the conversion watch, in the order of their keys."""
        return await self._call(
            "sending_cells", SendingCells, level=level, after=after, limit=limit, now=now
        )

    async def sending_held(self, *, limit: int, now: int) -> SendingHeld:
        """What is held back or blocked now, at most `limit` of each, and today's messages."""
        return await self._call("sending_held", SendingHeld, limit=limit, now=now)

    async def sending_block(
        self, key: str, *, blocked_until: int, by: By, now: int
    ) -> o.SendingBlock:
        """Send nothing for a prefix, a network or a client until a time."""
        return await self._call(
            "sending_block",
            o.SendingBlock,
            key=key,
            blocked_until=blocked_until,
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def sending_unblock(self, key: str, *, by: By, now: int) -> o.SendingUnblock:
        """Let what an operator or the watch holds back go, and let the watch begin anew.

        Unknown is what is neither counted nor of a client.
        """
        return await self._call(
            "sending_unblock", o.SendingUnblock, key=key, now=now, **msgspec.structs.asdict(by)
        )
