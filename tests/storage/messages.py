"""What a worker does for a message, step by step, as the contract tests of the outbox need it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from storage import outcomes as o
from storage.records import ClaimedMessage, HandOver, TakenMessage
from storage.store import Store
from tests.storage.builders import NOW, Owner, digest, new

LEASE = 3
WAIT = 20
CALL = "4821"

EMPTIED = """
    for _, name in ipairs({'outbox', 'submission'}) do
        for _, row in box.space[name]:pairs() do
            box.space[name]:delete(name == 'outbox' and row[1] or {row[1], row[2]})
        end
    end
    return true
"""


async def empty(owner: Owner) -> None:
    """Take away what other tests have queued."""
    await owner.eval(EMPTIED)


async def claim(
    store: Store, name: str | None = None, *, limit: int = 1000, now: int = NOW
) -> Sequence[ClaimedMessage]:
    """All that is due."""
    return await store.message_claim(name or new("claim"), limit=limit, lease=LEASE, now=now)


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker with one message of its own."""

    store: Store
    message: ClaimedMessage
    claim: str
    provider: str = field(default_factory=lambda: new("provider"))
    provider_id: str = field(default_factory=lambda: new("provider-id"))

    def handed_over(
        self,
        *,
        wait: int | None = WAIT,
        idempotent: bool = False,
        kind: str = "sms",
        budget: int = 1000,
    ) -> HandOver:
        """What it says before the provider is given the message."""
        return HandOver(
            journey=self.message.journey,
            message_id=self.message.message_id,
            claim=self.claim,
            provider=self.provider,
            kind=kind,
            idempotent=idempotent,
            wait=wait,
            budget=budget,
            lease=LEASE,
        )

    def taken(self, *, wait: int | None = WAIT, call: str | None = None) -> TakenMessage:
        """What it says once the provider has taken the message."""
        return TakenMessage(
            journey=self.message.journey,
            message_id=self.message.message_id,
            challenge_id=self.message.challenge_id,
            client_id=self.message.client_id,
            step=self.message.step,
            claim=self.claim,
            provider=self.provider,
            provider_id=self.provider_id,
            call_hash=digest(call) if call else None,
            wait=wait,
        )

    async def submit(
        self,
        *,
        wait: int | None = WAIT,
        idempotent: bool = False,
        kind: str = "sms",
        budget: int = 1000,
        now: int = NOW,
    ) -> o.MessageSubmit:
        """Say that the message is given to the provider."""
        message = self.handed_over(wait=wait, idempotent=idempotent, kind=kind, budget=budget)
        (answer,) = await self.store.message_submit([message], now=now)
        return answer

    async def submitted(
        self, *, wait: int | None = WAIT, call: str | None = None, now: int = NOW
    ) -> None:
        """Say that the provider has taken it."""
        await self.store.message_submitted([self.taken(wait=wait, call=call)], now=now)

    async def send(self, *, wait: int | None = WAIT, call: str | None = None) -> None:
        """Both."""
        kind = "flash_call" if call else "sms"
        assert await self.submit(wait=wait, kind=kind) == o.Submitting()
        await self.submitted(wait=wait, call=call)

    async def refused(self, *, last: bool = False, now: int = NOW) -> o.MessageRefuse:
        """Say that the provider has not taken it."""
        return await self.store.message_refused(self.message, claim=self.claim, last=last, now=now)

    async def receipt(self, *, delivered: bool, now: int = NOW) -> o.MessageReceipt:
        """Say what the provider says of it."""
        (answer,) = await self.store.message_receipts(
            self.provider, [(self.provider_id, delivered)], now=now
        )
        return answer


async def take(store: Store, *, now: int = NOW) -> Worker:
    """Be the worker that takes the one message which is due."""
    name = new("claim")
    (message,) = await claim(store, name, now=now)
    return Worker(store=store, message=message, claim=name)
