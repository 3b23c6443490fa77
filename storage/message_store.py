"""The store contract's part about messages with one-time codes, from the queue to the receipt."""

from collections.abc import Sequence

import msgspec

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import ClaimedMessage, HandOver, TakenMessage


class MessageStore(Procedures):
    """The outbox: any worker may send what is due, and each message is one worker's at a time."""

    async def message_claim(
        self, claim: str, *, limit: int, lease: int, now: int
    ) -> list[ClaimedMessage]:
        """Take at most `limit` messages that are due, for `lease` seconds.

        What has expired, or is no longer wanted because its challenge is over, is dropped.
        """
        return await self._call(
            "message_claim", list[ClaimedMessage], claim=claim, limit=limit, lease=lease, now=now
        )

    async def message_submit(
        self, messages: Sequence[HandOver], *, now: int
    ) -> list[o.MessageSubmit]:
        """Say that messages are given to their providers now, those of them that are still wanted.

        The answers are in the same order.
        """
        answered = await self._call(
            "message_submit",
            o.SubmitAnswers,
            messages=msgspec.to_builtins(messages, builtin_types=(bytes,)),
            now=now,
        )
        answers: list[o.MessageSubmit] = answered.answers
        return answers

    async def message_submitted(self, messages: Sequence[TakenMessage], *, now: int) -> None:
        """Providers took messages, or perhaps took them."""
        await self._call(
            "message_submitted",
            o.Noted,
            messages=msgspec.to_builtins(messages, builtin_types=(bytes,)),
            now=now,
        )

    async def message_refused(
        self, message: ClaimedMessage, *, claim: str, last: bool, now: int
    ) -> o.MessageRefuse:
        """Nobody took the message at this step: the next one is due, unless it was the `last`.

        After that the customer may ask again at once.
        """
        return await self._call(
            "message_refused",
            o.MessageRefuse,
            journey=message.journey,
            message_id=message.message_id,
            claim=claim,
            last=last,
            now=now,
        )

    async def message_receipts(
        self, provider: str, delivered: Sequence[tuple[str, bool]], *, now: int
    ) -> list[o.MessageReceipt]:
        """A provider says what became of what it took; late, early and repeated ones do no harm.

        `delivered` has the provider's name for each message and whether it has arrived; what it
        meant is answered in the same order.
        """
        return await self._call(
            "message_receipts",
            list[o.MessageReceipt],
            provider=provider,
            receipts=[{"provider_id": name, "delivered": it} for name, it in delivered],
            now=now,
        )
