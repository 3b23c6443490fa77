"""Sends what is queued in the store: each worker takes what is due, and goes on where one died.

A message that this worker queued is taken at once; what others left behind is found by polling.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from conf.delivery import MessageProvider as Settings
from conf.delivery import Step
from flows import sending_limits
from flows.delivery import call_hash, submission_of
from flows.ports import (
    MessageProvider,
    ProviderUnavailable,
    Submission,
    SubmissionRefused,
    SubmissionUncertain,
    Submitted,
)
from flows.provider import Provider
from idp import metrics
from idp.outbound.batches import Batches
from idp.outbound.circuit import Circuit
from keys.hashing import random_id
from storage.errors import StoreBug, StoreError
from storage.outcomes import MessageSubmit, OverBudget, Submitting
from storage.records import ClaimedMessage, HandOver, TakenMessage

_MOST_AT_ONCE = 64
_POLL_SECONDS = 0.5
_CLAIM_SECONDS = 3  # nothing is handed over yet, so that another worker may soon take it
_UNCERTAIN_SECONDS = 15  # until the next step, where no receipt is waited for
_REPEAT_SECONDS = 0.5
_STORE_SECONDS = 10.0  # for which a step is told to a store that does not answer
_DRAIN_SECONDS = 5.0

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A message at one step of its cascade, and whom it is given to."""

    message: ClaimedMessage
    claim: str
    step: Step
    last: bool
    chosen: Settings
    submission: Submission

    @property
    def wait_if_uncertain(self) -> int | None:
        """Seconds until the next step, if nobody knows what became of this one."""
        return None if self.last else self.step.receipt_seconds or _UNCERTAIN_SECONDS


class Waker:
    """The Outbox that flows know."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def wake(self) -> None:
        """Have the dispatcher look into the queue now."""
        self.event.set()


class Dispatcher:
    """Takes messages from the store through the steps of their cascades."""

    def __init__(
        self, provider: Provider, senders: Mapping[str, MessageProvider], waker: Waker
    ) -> None:
        """`senders` are the message providers by the names that the settings have for them."""
        self._provider = provider
        self._settings = {it.id: it for it in provider.settings.delivery.providers}
        self._senders = senders
        self._circuits = {name: Circuit() for name in senders}
        self._event = waker.event
        self._sending: set[asyncio.Task[None]] = set()
        self._submits = Batches(self._note_submits)
        self._taken = Batches(self._note_taken)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send for as long as the context lasts, and finish what has begun."""
        taking = asyncio.create_task(self._take())
        try:
            yield
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            if self._sending:
                _, late = await asyncio.wait(self._sending, timeout=_DRAIN_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
            await self._submits.close()
            await self._taken.close()

    async def _take(self) -> None:
        failing = False
        while True:
            self._event.clear()
            free = _MOST_AT_ONCE - len(self._sending)
            taken = 0
            try:
                if free:
                    taken = await self._claim(free)
                failing = False
            except Exception as error:  # noqa: BLE001 - the work goes on, whatever failed this time
                if not failing:
                    self._provider.log.warning("messages_not_claimed", reason=repr(error))
                failing = True
            if taken < free or free == 0:
                await self._pause()

    async def _pause(self) -> None:
        # Many workers look: they must not all come at once.
        seconds = _POLL_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()

    async def _claim(self, limit: int) -> int:
        claim, now = random_id(), self._provider.clock()
        messages = await self._provider.store.message_claim(
            claim, limit=limit, lease=_CLAIM_SECONDS, now=now
        )
        metrics.message_queue_age(max((it.age for it in messages if it.step == 1), default=0))
        for message in messages:
            task = asyncio.create_task(self._send(message, claim))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        return len(messages)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if len(self._sending) == _MOST_AT_ONCE - 1:
            self._event.set()

    async def _send(self, message: ClaimedMessage, claim: str) -> None:
        log = self._provider.log
        try:
            await self._step(message, claim)
        except StoreError as error:
            log.warning("message_state_unknown", client_id=message.client_id, reason=str(error))
        except Exception as error:  # noqa: BLE001 - one message must not end the others'
            # By its name alone: a library's error may quote what it was given.
            log.warning("message_failed", client_id=message.client_id, reason=type(error).__name__)

    async def _step(self, message: ClaimedMessage, claim: str) -> None:
        client = await self._provider.clients.get(message.client_id)
        steps = (
            self._provider.settings.delivery.steps(message.phone, client.channel.channel_id)
            if client is not None
            else ()
        )
        if client is None or message.step > len(steps):
            await self._refuse(message, claim, None, "no step is left", last=True)
            return
        step, last = steps[message.step - 1], message.step == len(steps)
        chosen = self._choose(step, message)
        if chosen is None:
            await self._refuse(message, claim, None, "no provider works", last=last)
            return
        submission = submission_of(self._provider, client, message, step.kind)
        await self._hand_over(_Attempt(message, claim, step, last, chosen, submission))

    def _choose(self, step: Step, message: ClaimedMessage) -> Settings | None:
        """One of the step's providers that work; the same one where it may have the message."""
        if message.provider in step.providers:
            return self._settings[message.provider]
        working = [self._settings[it] for it in step.providers if not self._circuits[it].is_open]
        weights = [it.weight for it in working]
        return random.choices(working, weights)[0] if working else None  # noqa: S311 - no secret

    async def _hand_over(self, attempt: _Attempt) -> None:
        message, chosen, submission = attempt.message, attempt.chosen, attempt.submission
        provider = self._provider
        wanted = await self._submits.ask(
            HandOver(
                journey=message.journey,
                message_id=message.message_id,
                claim=attempt.claim,
                provider=chosen.id,
                kind=attempt.step.kind,
                idempotent=chosen.idempotent,
                wait=attempt.wait_if_uncertain,
                budget=provider.settings.sending.provider_budget,
                lease=2 * (chosen.timeout + 1) + _CLAIM_SECONDS,
            )
        )
        if isinstance(wanted, OverBudget):
            reason = "its messages of today are spent"
            await self._refuse(message, attempt.claim, chosen.id, reason, last=attempt.last)
            return
        if not isinstance(wanted, Submitting):
            return
        if wanted.alarm is not None:
            sending_limits.tell(provider.log, wanted.alarm)
        submitted, wait = None, attempt.wait_if_uncertain
        try:
            submitted = await self._submit(
                chosen, submission, perhaps_taken=message.provider == chosen.id
            )
            wait = None if attempt.last else attempt.step.receipt_seconds
            metrics.message(chosen.id, "submitted")
        except SubmissionRefused as error:
            reason = str(error)
            await self._refuse(message, attempt.claim, chosen.id, reason, last=attempt.last)
            return
        except SubmissionUncertain as error:
            self._tell(message, chosen.id, "uncertain", str(error))
        provider_id = digits = None
        if submitted is not None:
            digits = submitted.code
            if chosen.gives_receipts:  # for our name, if it has none of its own
                provider_id = submitted.provider_id or submission.submission_id
        await self._taken.ask(
            TakenMessage(
                journey=message.journey,
                message_id=message.message_id,
                challenge_id=message.challenge_id,
                client_id=message.client_id,
                step=message.step,
                claim=attempt.claim,
                provider=chosen.id,
                provider_id=provider_id,
                call_hash=call_hash(provider, message, digits) if digits else None,
                wait=wait,
            )
        )

    async def _note_submits(self, messages: list[HandOver]) -> list[MessageSubmit]:
        store, now = self._provider.store, self._provider.clock
        return await _told(lambda: store.message_submit(messages, now=now()))

    async def _note_taken(self, messages: list[TakenMessage]) -> list[None]:
        store, now = self._provider.store, self._provider.clock
        await _told(lambda: store.message_submitted(messages, now=now()))
        return [None] * len(messages)

    async def _submit(
        self, chosen: Settings, submission: Submission, *, perhaps_taken: bool
    ) -> Submitted:
        circuit = self._circuits[chosen.id]
        circuit.passing()
        try:
            submitted = await self._repeatedly(chosen, submission, perhaps_taken=perhaps_taken)
        except (ProviderUnavailable, SubmissionUncertain):
            circuit.failed()
            raise
        except SubmissionRefused:
            circuit.succeeded()
            raise
        else:
            circuit.succeeded()
            return submitted
        finally:
            metrics.message_circuit(chosen.id, is_open=circuit.is_open)

    async def _repeatedly(
        self, chosen: Settings, submission: Submission, *, perhaps_taken: bool
    ) -> Submitted:
        """Once, and once more if it is not certain and the provider takes two for one.

        With `perhaps_taken` somebody was given it before, who does not know what became of it.
        """
        if not perhaps_taken:
            try:
                return await self._once(chosen, submission)
            except SubmissionUncertain:
                if not chosen.idempotent:
                    raise
            await asyncio.sleep(_REPEAT_SECONDS)
        try:
            return await self._once(chosen, submission)
        except ProviderUnavailable as error:
            # That it takes nothing now does not tell whether it took the first.
            raise SubmissionUncertain(f"perhaps taken before: {error}") from error

    async def _once(self, chosen: Settings, submission: Submission) -> Submitted:
        try:
            async with asyncio.timeout(chosen.timeout + 1):
                return await self._senders[chosen.id].submit(submission)
        except TimeoutError as error:
            raise SubmissionUncertain("no answer in time") from error

    async def _refuse(
        self, message: ClaimedMessage, claim: str, name: str | None, reason: str, *, last: bool
    ) -> None:
        self._tell(message, name, "refused", reason)
        if last:
            self._provider.log.warning("code_not_sent", client_id=message.client_id)
        store, now = self._provider.store, self._provider.clock()
        await _told(lambda: store.message_refused(message, claim=claim, last=last, now=now))
        self._event.set()

    def _tell(self, message: ClaimedMessage, name: str | None, outcome: str, reason: str) -> None:
        metrics.message(name or "none", outcome)
        self._provider.log.warning(
            "message_not_taken",
            client_id=message.client_id,
            provider=name,
            outcome=outcome,
            reason=reason,
        )


async def _told(call: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Tell the store, for longer than a request would wait: a lost word is a lost message."""
    deadline = asyncio.get_running_loop().time() + _STORE_SECONDS
    while True:
        try:
            return await call()
        except StoreBug:
            raise
        except StoreError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(_REPEAT_SECONDS)
