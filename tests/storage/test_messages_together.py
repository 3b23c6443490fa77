"""Messages that a worker tells of in one call: each is decided for itself, and all or none."""

import msgspec
import pytest

from storage import outcomes as o
from storage.errors import StoreBug
from storage.records import SendingAlarm
from storage.store import Store
from tests.storage.builders import (
    NOW,
    RIGHT,
    Owner,
    PhoneGrant,
    at_once,
    new,
    new_challenge,
    new_phone,
)
from tests.storage.messages import WAIT, Worker, claim, empty


@pytest.fixture(autouse=True)
async def emptied(owner: Owner) -> None:
    await empty(owner)


async def workers(store: Store, *journeys: PhoneGrant, provider: str) -> list[Worker]:
    """The one worker that has a message for each of some journeys."""
    for journey in journeys:
        await journey.start(store, new_challenge(new_phone()))
    name = new("claim")
    by_journey = {it.journey: it for it in await claim(store, name)}
    return [
        Worker(store=store, message=by_journey[it.name], claim=name, provider=provider)
        for it in journeys
    ]


async def test_each_message_has_an_answer_of_its_own_however_often(store: Store) -> None:
    wanted, used, late = PhoneGrant(), PhoneGrant(), PhoneGrant()
    told = await workers(store, wanted, used, late, provider=new("provider"))
    await used.enter(store, RIGHT)
    messages = [it.handed_over(budget=1) for it in told]
    expected = [
        o.Submitting(SendingAlarm("budget", f"provider:{told[0].provider}", 100)),
        o.Unknown(),
        o.OverBudget(),
    ]
    assert await store.message_submit(messages, now=NOW) == expected
    again = await store.message_submit(messages, now=NOW)
    assert again == [o.Submitting(), o.Unknown(), o.OverBudget()]


async def test_what_was_taken_is_told_of_together(store: Store) -> None:
    told = await workers(store, PhoneGrant(), PhoneGrant(), provider=new("provider"))
    await store.message_submit([it.handed_over() for it in told], now=NOW)
    for _ in range(2):
        await store.message_submitted([told[0].taken(wait=None), told[1].taken(wait=WAIT)], now=NOW)
    (next_step,) = await claim(store, now=NOW + WAIT)
    assert (next_step.journey, next_step.step) == (told[1].message.journey, 2)


async def test_where_one_cannot_be_decided_nothing_was(store: Store) -> None:
    told = await workers(store, PhoneGrant(), PhoneGrant(), provider=new("provider"))
    good, bad = (it.handed_over(budget=2) for it in told)
    with pytest.raises(StoreBug):
        await store.message_submit([good, msgspec.structs.replace(bad, wait="soon")], now=NOW)
    alarm = SendingAlarm("budget", f"provider:{good.provider}", 50)
    assert await store.message_submit([good], now=NOW) == [o.Submitting(alarm)]  # the first


async def test_200_times_at_once_they_are_counted_once(store: Store) -> None:
    told = await workers(store, PhoneGrant(), PhoneGrant(), provider=new("provider"))
    messages = [it.handed_over(budget=2) for it in told]
    answers = await at_once(store.message_submit(messages, now=NOW) for _ in range(200))
    assert all(isinstance(it, o.Submitting) for answer in answers for it in answer)
