"""The store contract's part about messages with one-time codes, from the queue to the receipt."""

from collections.abc import Sequence

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import ClaimedMessage


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
        self,
        message: ClaimedMessage,
        *,
        claim: str,
        provider: str,
        kind: str,
        idempotent: bool,
        wait: int | None,
        budget: int,
        lease: int,
        now: int,
    ) -> o.MessageSubmit:
        """Say that a message is given to a provider now, if it is still wanted.

        Unless the provider is `idempotent` it counts as sent from now on, whatever happens to the
        caller, and its next step is due after `wait` seconds; None where there is none. It counts
        for the provider's `budget` of today (UTC).
        """
        return await self._call(
            "message_submit",
            o.MessageSubmit,
            journey=message.journey,
            message_id=message.message_id,
            claim=claim,
            provider=provider,
            kind=kind,
            idempotent=idempotent,
            wait=wait,
            budget=budget,
            lease=lease,
            now=now,
        )

    async def message_submitted(
        self,
        message: ClaimedMessage,
        *,
        claim: str,
        provider: str,
        provider_id: str | None,
        call_hash: bytes | None,
        wait: int | None,
        now: int,
    ) -> None:
        """The provider took a message, or perhaps took it; a receipt may come for `provider_id`.

        `call_hash` is of the digits that its flash call ends with. `wait` as for `message_submit`.
        """
        await self._call(
            "message_submitted",
            o.Noted,
            journey=message.journey,
            message_id=message.message_id,
            challenge_id=message.challenge_id,
            client_id=message.client_id,
            step=message.step,
            claim=claim,
            provider=provider,
            provider_id=provider_id,
            call_hash=call_hash,
            wait=wait,
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
