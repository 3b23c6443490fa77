"""What a message was counted as when it never left, and when the repeat after it is held back."""

from dataclasses import dataclass, field, replace

import pytest

from storage import outcomes as o
from storage.records import KeyedLimit, Sending
from storage.store import Store
from tests.storage.builders import (
    NOW,
    Owner,
    PhoneGrant,
    kinds,
    new,
    new_challenge,
    new_phone,
    new_sending,
    open_grant,
)
from tests.storage.messages import WAIT, Worker, claim, empty, take

DAY = 86_400
RESEND_AFTER = 30


@pytest.fixture(autouse=True)
async def emptied(owner: Owner) -> None:
    await empty(owner)


# What never left is not counted


async def counted(store: Store, journey: PhoneGrant, sending: Sending) -> list[float]:
    """Messages counted in the cells of a journey, and for its client's budget."""
    found = []
    names = {
        "client": journey.client_id,
        "network": sending.source,
        "prefix": sending.prefix,
        "address": sending.address,
        "pair": f"{sending.prefix} {sending.source}",
    }
    for level, name in names.items():
        cells = await store.sending_cells(level, limit=10_000, now=NOW)
        found += [cell.sent for cell in cells.cells if cell.key == f"{level}:{name}"]
    held = await store.sending_held(limit=1, now=NOW)
    return found + [it.spent for it in held.budgets if it.key == f"client:{journey.client_id}"]


@dataclass(frozen=True)
class Counted:
    """A journey of a client of its own, from a place of its own."""

    phone: str = field(default_factory=new_phone)
    journey: PhoneGrant = field(default_factory=lambda: PhoneGrant(client_id=new("client")))
    sending: Sending = field(default_factory=lambda: new_sending(address=new("address")))

    async def ask(self, store: Store, now: int = NOW) -> o.OtpStart:
        return await self.journey.start(store, new_challenge(self.phone, sending=self.sending), now)

    async def counts(self, store: Store) -> list[float]:
        return await counted(store, self.journey, self.sending)


async def test_what_nobody_has_taken_is_taken_back_once(store: Store) -> None:
    it = Counted()
    await it.ask(store)
    assert await it.counts(store) == [1] * 6
    worker = await take(store)
    await worker.submit()

    assert await worker.refused(last=True) == o.Noted()
    assert await worker.refused(last=True) == o.Unknown()

    assert await it.counts(store) == [0] * 6


async def test_a_customer_whose_messages_never_left_is_still_one(store: Store) -> None:
    """Three without an answer make a stranger, whom a full range holds back."""
    known, later = await open_grant(store, now=NOW - 2 * DAY), NOW
    closed = new_sending(prefix_limit=KeyedLimit(new("prefix"), 1, DAY))
    await PhoneGrant().start(store, new_challenge(new_phone(), sending=closed), later)
    await claim(store, now=later)
    sent = []
    for _ in range(5):
        answer = await PhoneGrant().start(store, new_challenge(known.phone, sending=closed), later)
        sent.append(isinstance(answer, o.OtpStarted) and answer.send)
        await (await take(store, now=later)).refused(last=True, now=later)

    assert sent == [True] * 5


async def test_the_next_message_of_a_journey_is_counted_again(store: Store) -> None:
    it = Counted()
    for _ in range(2):
        await it.ask(store)
        assert await it.counts(store) == [1] * 6
        await (await take(store)).refused(last=True)
        assert await it.counts(store) == [0] * 6


@pytest.mark.parametrize("how", ["taken", "heard of no more", "undelivered"])
async def test_what_somebody_has_perhaps_taken_stays_counted(store: Store, how: str) -> None:
    it = Counted()
    await it.ask(store)
    worker = await take(store)
    await worker.submit(wait=None if how == "undelivered" else WAIT)
    if how == "undelivered":
        await worker.submitted(wait=None)
        await worker.receipt(delivered=False)
    elif how == "taken":
        await worker.submitted()
    if how != "undelivered":
        await (await take(store, now=NOW + WAIT)).refused(last=True, now=NOW + WAIT)

    assert await it.counts(store) == [1] * 6


async def test_a_failed_repeat_takes_nothing_of_the_first_message_back(store: Store) -> None:
    it = Counted()
    await it.ask(store)
    await (await take(store)).send(wait=None)
    await it.ask(store, NOW + RESEND_AFTER)
    worker = await take(store, now=NOW + RESEND_AFTER)
    await worker.refused(last=True, now=NOW + RESEND_AFTER)

    assert (await it.counts(store))[:5] == [1] * 5


async def test_what_was_counted_yesterday_is_not_taken_off_todays_budget(store: Store) -> None:
    midnight = (NOW // DAY + 1) * DAY
    it = Counted()
    await it.ask(store, midnight - 1)
    worker = await take(store, now=midnight - 1)
    other = replace(
        it, phone=new_phone(), journey=replace(it.journey, otp_session=new("otp-session"))
    )
    await other.ask(store, midnight)

    await worker.refused(last=True, now=midnight)

    held = await store.sending_held(limit=1, now=midnight)
    key = f"client:{it.journey.client_id}"
    assert [it.spent for it in held.budgets if it.key == key] == [1]


async def test_numbers_that_a_provider_refuses_do_not_use_it_up(store: Store) -> None:
    """Nothing else would stop who asks for them: they are not counted either."""
    provider = new("provider")
    for _ in range(3):
        await Counted().ask(store)
        worker = replace(await take(store), provider=provider)
        assert isinstance(await worker.submit(budget=2), o.Submitting)
        for _ in range(2):
            await worker.refused(last=True)


# A repeat that is held back


async def held_repeat(store: Store, journey: PhoneGrant, phone: str) -> None:
    """Ask once more where strangers' numbers have used up their range."""
    closed, later = new_sending(prefix_limit=KeyedLimit(new("prefix"), 1, 600)), NOW + RESEND_AFTER
    await PhoneGrant().start(store, new_challenge(new_phone(), sending=closed), later)
    challenge = new_challenge(phone, sending=closed)
    answers = [await journey.start(store, challenge, later) for _ in range(2)]
    assert kinds(answers) == {o.OtpStarted: 2}
    assert not any(isinstance(answer, o.OtpStarted) and answer.send for answer in answers)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_repeat_that_is_held_back_leaves_the_message_under_way(
    store: Store, times: int
) -> None:
    journey, phone = PhoneGrant(), new_phone()
    await journey.start(store, new_challenge(phone))
    first = await take(store)
    for _ in range(times):
        await held_repeat(store, journey, phone)

    later = NOW + RESEND_AFTER
    (mine,) = [it for it in await claim(store, now=later) if it.journey == journey.name]
    assert mine.message_id == first.message.message_id


async def test_the_message_under_way_is_sent_though_the_repeat_is_held_back(store: Store) -> None:
    journey, phone = PhoneGrant(), new_phone()
    await journey.start(store, new_challenge(phone))
    first = await take(store)
    await held_repeat(store, journey, phone)

    assert await first.submit() == o.Submitting()
    await first.submitted()
    name, later = new("claim"), NOW + RESEND_AFTER
    (second,) = [it for it in await claim(store, name, now=later) if it.journey == journey.name]
    assert second.step == 2
    heir = Worker(store=store, message=second, claim=name)
    assert await heir.submit(now=later) == o.Submitting()


async def test_a_repeat_that_is_held_back_after_the_first_was_sent_is_not_sent(
    store: Store,
) -> None:
    journey, phone = PhoneGrant(), new_phone()
    await journey.start(store, new_challenge(phone))
    await (await take(store)).send(wait=None)
    await held_repeat(store, journey, phone)

    name, later = new("claim"), NOW + RESEND_AFTER
    (mine,) = [it for it in await claim(store, name, now=later) if it.journey == journey.name]
    assert await Worker(store=store, message=mine, claim=name).submit(now=later) == o.Unknown()
