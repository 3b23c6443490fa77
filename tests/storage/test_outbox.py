"""The outbox: queued with the challenge, one worker's at a time, sent only while it is wanted."""

import asyncio
from dataclasses import replace

import pytest

from storage import outcomes as o
from storage.records import KeyedLimit
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    MANY,
    NOW,
    RIGHT,
    WRONG,
    Login,
    Owner,
    PhoneGrant,
    at_once,
    new,
    new_challenge,
    new_phone,
    new_sending,
)
from tests.storage.messages import CALL, LEASE, WAIT, Worker, claim, empty, take

VALIDITY = 180
RESEND_AFTER = 30
TOLD = """
    local told = 0
    for _, row in box.space.audit:pairs() do
        if row.event == 'code_not_sent' then told = told + 1 end
    end
    return told
"""


@pytest.fixture(autouse=True)
async def emptied(owner: Owner) -> None:
    await empty(owner)


async def queue(store: Store, *, now: int = NOW, **changed: object) -> PhoneGrant:
    journey = PhoneGrant()
    await journey.start(store, new_challenge(new_phone(), **changed), now)
    return journey


async def page_of(login: Login, store: Store) -> tuple[object, ...]:
    found = await login.read(store)
    assert isinstance(found, o.FoundInteraction)
    return found.step, found.delivery, found.tries_left, found.resend_at


# Queueing


async def test_a_challenge_of_a_client_queues_its_message(store: Store) -> None:
    journey, challenge = PhoneGrant(), new_challenge(new_phone())
    await journey.start(store, challenge)

    (message,) = await claim(store)

    assert (message.journey, message.challenge_id) == (journey.name, challenge.challenge_id)
    assert (message.phone, message.client_id, message.locale) == (challenge.phone, CLIENT, "ru")
    assert (message.step, message.valid_for, message.age) == (1, VALIDITY, 0)
    assert message.provider is None


async def test_a_challenge_of_a_page_queues_its_message(store: Store) -> None:
    login, challenge = await Login().begin(store), new_challenge(new_phone())
    await login.start(store, challenge)

    (message,) = await claim(store, now=NOW + 2)

    assert (message.journey, message.message_id) == (login.name, challenge.attempt)
    assert (message.client_id, message.locale) == (CLIENT, "ru")
    assert (message.valid_for, message.age) == (VALIDITY - 2, 2)


async def test_a_refused_challenge_queues_nothing(store: Store) -> None:
    limit = (KeyedLimit(f"send:{new_phone()}", 1, 600),)
    await queue(store, send_limits=limit)
    await claim(store)

    assert await PhoneGrant().start(
        store, new_challenge(new_phone(), send_limits=limit)
    ) == o.Limited(600)
    assert await claim(store) == []


async def test_a_test_number_and_an_early_repetition_queue_nothing(store: Store) -> None:
    await queue(store, test=True)
    journey, phone = PhoneGrant(), new_phone()
    await journey.start(store, new_challenge(phone))
    assert len(await claim(store)) == 1

    await journey.start(store, new_challenge(phone), NOW + RESEND_AFTER - 1)

    assert await claim(store) == []


async def test_the_same_request_again_queues_one_message(store: Store) -> None:
    journey, challenge = PhoneGrant(), new_challenge(new_phone())
    await at_once(journey.start(store, challenge) for _ in range(MANY))

    assert len(await claim(store)) == 1
    await journey.start(store, challenge)
    assert await claim(store) == []


async def test_a_repetition_takes_the_place_of_the_message_before_it(store: Store) -> None:
    journey, phone = PhoneGrant(), new_phone()
    await journey.start(store, new_challenge(phone))
    first = await take(store)
    await journey.start(store, new_challenge(phone), NOW + RESEND_AFTER)

    assert await first.submit(now=NOW + RESEND_AFTER) == o.Unknown()
    second = await take(store, now=NOW + RESEND_AFTER)
    assert second.message.challenge_id == first.message.challenge_id
    assert second.message.message_id != first.message.message_id


@pytest.mark.parametrize("kind", ["sms", "flash_call"])
async def test_a_page_shows_no_difference_to_what_is_held_back(store: Store, kind: str) -> None:
    limit, provider = KeyedLimit(new("prefix"), 1, 600), new("provider")
    shown = []
    for wanted in (o.Submitting(), o.Unknown()):
        login = await Login().begin(store)
        sending = new_sending(prefix_limit=limit)
        await login.start(store, new_challenge(new_phone(), sending=sending))
        worker = replace(await take(store), provider=provider)
        before = await page_of(login, store)
        assert await worker.submit(kind=kind, budget=1000, wait=None) == wanted
        if wanted == o.Submitting():
            await worker.submitted(wait=None, call=CALL if kind == "flash_call" else None)
        guesses = [await login.enter(store, f"000{it}", call=True) for it in range(2)]
        shown.append(
            (before, await page_of(login, store), guesses, await claim(store, now=NOW + 60))
        )

    assert shown[0] == shown[1]


async def test_what_is_held_back_spends_none_of_a_providers_messages(store: Store) -> None:
    limit, provider = KeyedLimit(new("prefix"), 1, 600), new("provider")
    await PhoneGrant().start(
        store, new_challenge(new_phone(), sending=new_sending(prefix_limit=limit))
    )
    await claim(store)
    await PhoneGrant().start(
        store, new_challenge(new_phone(), sending=new_sending(prefix_limit=limit))
    )
    held = replace(await take(store), provider=provider)
    assert await held.submit(budget=1) == o.Unknown()
    await queue(store)

    assert isinstance(
        await replace(await take(store), provider=provider).submit(budget=1), o.Submitting
    )


# Claiming


async def test_of_200_claims_at_once_one_gets_the_message(store: Store, other_store: Store) -> None:
    await queue(store)

    answers = await at_once(claim((store, other_store)[it % 2]) for it in range(MANY))

    assert sorted(map(len, answers)) == [0] * (MANY - 1) + [1]


async def test_200_messages_are_shared_out_once_each(store: Store, other_store: Store) -> None:
    await at_once(queue(store) for _ in range(MANY))

    answers = await at_once(claim((store, other_store)[it % 2], limit=3) for it in range(MANY))

    taken = [message.journey for answer in answers for message in answer]
    assert len(taken) == len(set(taken)) == MANY
    assert max(map(len, answers)) == 3


async def test_a_claim_that_is_repeated_gets_the_same_messages(store: Store) -> None:
    await queue(store)
    first = await claim(store, "lost-answer")

    assert await claim(store, "lost-answer") == first
    assert await claim(store) == []


async def test_what_a_worker_left_behind_is_anothers_when_the_lease_runs_out(
    store: Store,
) -> None:
    await queue(store)
    dead = await take(store)

    assert await claim(store, now=NOW + LEASE - 1) == []
    heir = await take(store, now=NOW + LEASE)
    assert await dead.submit(now=NOW + LEASE) == o.Unknown()
    assert await heir.submit(now=NOW + LEASE) == o.Submitting()


async def test_an_expired_code_is_not_sent(store: Store) -> None:
    await queue(store)
    assert await claim(store, now=NOW + VALIDITY) == []
    await queue(store)
    worker = await take(store)
    assert await worker.submit(now=NOW + VALIDITY) == o.Unknown()


@pytest.mark.parametrize("when", ["before the claim", "after the claim"])
@pytest.mark.parametrize("how", ["spent", "exhausted", "cancelled"])
async def test_a_code_that_is_over_is_not_sent(store: Store, how: str, when: str) -> None:
    login = await Login().begin(store)
    await login.start(store, new_challenge(new_phone(), tries=1))
    worker = await take(store) if when == "after the claim" else None
    if how == "cancelled":
        await login.cancel(store)
    else:
        await login.enter(store, RIGHT if how == "spent" else WRONG)

    if worker is None:
        assert await claim(store) == []
    else:
        assert await worker.submit() == o.Unknown()
    assert await claim(store, now=NOW + LEASE) == []


# Submitting


async def test_what_may_have_been_sent_counts_as_sent_until_the_time_out(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    assert await worker.submit() == o.Submitting()  # and is heard of no more

    assert await claim(store, now=NOW + WAIT - 1) == []
    heir = await take(store, now=NOW + WAIT)
    assert (heir.message.step, heir.message.provider) == (2, None)


async def test_an_idempotent_provider_is_given_the_same_message_again(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    await worker.submit(idempotent=True)

    heir = await take(store, now=NOW + LEASE)
    assert (heir.message.step, heir.message.provider) == (1, worker.provider)
    assert heir.message.message_id == worker.message.message_id
    assert await worker.submit(idempotent=True) == o.Unknown()


async def test_each_word_may_be_said_twice(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    assert [await worker.submit() for _ in range(2)] == [o.Submitting()] * 2
    await worker.submitted()
    await worker.submitted()
    assert await worker.receipt(delivered=False) == o.Noted()
    assert await worker.receipt(delivered=False) == o.Repeated()
    second = await take(store)
    assert second.message.step == 2
    assert await second.refused() == o.Noted()
    assert await second.refused() == o.Unknown()
    assert (await take(store)).message.step == 3


async def test_after_the_last_step_nothing_is_left_to_do(store: Store, owner: Owner) -> None:
    await queue(store)
    await (await take(store)).send(wait=None)

    assert await owner.count("outbox") == 0


async def test_a_refusal_goes_on_to_the_next_step_at_once(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    await worker.submit()

    await worker.refused()

    assert (await take(store)).message.step == 2


@pytest.mark.parametrize("submitted", [True, False])
async def test_after_the_last_refusal_the_customer_may_ask_again_at_once(
    store: Store, owner: Owner, *, submitted: bool
) -> None:
    told = await owner.eval(TOLD)
    login, phone = await Login().begin(store), new_phone()
    await login.start(store, new_challenge(phone))
    worker = await take(store)
    if submitted:
        await worker.submit()

    await worker.refused(last=True)

    page = await login.read(store)
    assert isinstance(page, o.FoundInteraction)
    assert (page.delivery, page.resend_at) == ("failed", NOW)
    assert await owner.eval(TOLD) == told + 1
    again = await login.start(store, new_challenge(phone))
    assert isinstance(again, o.OtpStarted)
    assert again.send
    page = await login.read(store)
    assert isinstance(page, o.FoundInteraction)
    assert page.delivery is None


async def test_a_refusal_of_an_earlier_message_does_not_concern_the_next(store: Store) -> None:
    journey, phone = PhoneGrant(), new_phone()
    await journey.start(store, new_challenge(phone))
    first = await take(store)
    await first.send(wait=None)
    later = NOW + RESEND_AFTER
    again = await journey.start(store, new_challenge(phone), later)

    await first.receipt(delivered=False, now=later)

    early = await journey.start(store, new_challenge(phone), later + 1)
    assert isinstance(early, o.OtpStarted)
    assert isinstance(again, o.OtpStarted)
    assert (early.send, early.resend_at) == (False, again.resend_at)


async def test_the_page_knows_how_the_code_comes(store: Store) -> None:
    login = await Login().begin(store)
    await login.start(store, new_challenge(new_phone()))
    await (await take(store)).submit()

    page = await login.read(store)

    assert isinstance(page, o.FoundInteraction)
    assert page.delivery == "sms"


# Receipts


async def test_a_receipt_in_time_ends_the_cascade(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    await worker.send()

    assert await worker.receipt(delivered=True) == o.Noted()

    assert await claim(store, now=NOW + WAIT) == []


async def test_a_missing_receipt_is_the_next_steps_turn(store: Store) -> None:
    await queue(store)
    await (await take(store)).send()

    assert await claim(store, now=NOW + WAIT - 1) == []
    assert (await take(store, now=NOW + WAIT)).message.step == 2


async def test_a_late_receipt_stops_the_next_step_if_it_can(store: Store) -> None:
    await queue(store)
    first = await take(store)
    await first.send()
    second = await take(store, now=NOW + WAIT)

    await first.receipt(delivered=True, now=NOW + WAIT)

    assert await second.submit(now=NOW + WAIT) == o.Unknown()


async def test_a_late_failure_of_a_step_that_is_over_changes_nothing(store: Store) -> None:
    await queue(store)
    first = await take(store)
    await first.send()
    second = await take(store, now=NOW + WAIT)

    await first.receipt(delivered=False, now=NOW + WAIT)

    assert await second.submit(now=NOW + WAIT) == o.Submitting()


async def test_a_failure_after_the_last_step_lets_the_customer_ask_again(store: Store) -> None:
    login = await Login().begin(store)
    await login.start(store, new_challenge(new_phone()))
    worker = await take(store)
    await worker.send(wait=None)

    await worker.receipt(delivered=False, now=NOW + 5)

    page = await login.read(store, NOW + 5)
    assert isinstance(page, o.FoundInteraction)
    assert (page.delivery, page.resend_at) == ("failed", NOW + 5)


@pytest.mark.parametrize("delivered", [True, False])
async def test_a_receipt_may_be_faster_than_the_answer(store: Store, *, delivered: bool) -> None:
    await queue(store)
    worker = await take(store)
    await worker.submit()

    assert await worker.receipt(delivered=delivered) == o.Unknown()
    await worker.submitted()

    left = await claim(store)
    assert [it.step for it in left] == ([] if delivered else [2])


async def test_what_was_given_up_may_still_arrive_but_not_the_other_way(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    await worker.send(wait=None)

    assert await worker.receipt(delivered=False) == o.Noted()
    assert await worker.receipt(delivered=True) == o.Noted()
    assert await worker.receipt(delivered=False) == o.Repeated()


async def test_what_has_arrived_early_is_not_undone_by_another_early_word(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    await worker.submit()
    for delivered in (True, False):
        assert await worker.receipt(delivered=delivered) == o.Unknown()

    await worker.submitted()

    assert await claim(store, now=NOW + WAIT) == []


@pytest.mark.parametrize("delivered_at", ["before the last step", "after it", "after its failure"])
async def test_what_one_step_delivered_no_other_can_fail(
    store: Store, owner: Owner, delivered_at: str
) -> None:
    told = await owner.eval(TOLD)
    login = await Login().begin(store)
    await login.start(store, new_challenge(new_phone()))
    first = await take(store)
    await first.send(call=CALL)
    second = await take(store, now=(later := NOW + WAIT))
    assert await second.submit(wait=None, now=later) == o.Submitting()
    if delivered_at == "before the last step":
        await first.receipt(delivered=True, now=later)
    await second.submitted(wait=None, now=later)
    if delivered_at == "after it":
        await first.receipt(delivered=True, now=later)

    assert await second.receipt(delivered=False, now=later) == o.Noted()
    if delivered_at == "after its failure":
        await first.receipt(delivered=True, now=later)

    page = await login.read(store, later)
    assert isinstance(page, o.FoundInteraction)
    assert page.delivery != "failed"
    if delivered_at != "after its failure":
        assert page.resend_at == NOW + RESEND_AFTER
        assert await owner.eval(TOLD) == told


async def test_an_early_failure_does_not_overrule_what_was_delivered(store: Store) -> None:
    login = await Login().begin(store)
    await login.start(store, new_challenge(new_phone()))
    first = await take(store)
    await first.send()
    second = await take(store, now=(later := NOW + WAIT))
    await second.submit(wait=None, now=later)
    assert await second.receipt(delivered=False, now=later) == o.Unknown()
    await first.receipt(delivered=True, now=later)

    await second.submitted(wait=None, now=later)

    page = await login.read(store, later)
    assert isinstance(page, o.FoundInteraction)
    assert (page.delivery, page.resend_at) == ("sms", NOW + RESEND_AFTER)


async def test_what_was_delivered_says_nothing_of_the_next_message(store: Store) -> None:
    login, phone = await Login().begin(store), new_phone()
    await login.start(store, new_challenge(phone))
    first = await take(store)
    await first.send()
    await first.receipt(delivered=True)
    later = NOW + RESEND_AFTER
    await login.start(store, new_challenge(phone), later)
    second = await take(store, now=later)
    await second.submit(wait=None, now=later)
    await second.submitted(wait=None, now=later)

    await second.receipt(delivered=False, now=later)

    page = await login.read(store, later)
    assert isinstance(page, o.FoundInteraction)
    assert (page.delivery, page.resend_at) == ("failed", later)


async def test_each_receipt_of_a_batch_stands_for_itself(store: Store) -> None:
    await queue(store)
    failed = await take(store)
    await failed.send()
    await queue(store)
    arrived = replace(await take(store), provider=failed.provider)
    await arrived.send()
    batch = [("nobody's", True), (failed.provider_id, False), (arrived.provider_id, True)]

    answers = [
        await store.message_receipts(failed.provider, [*batch, batch[1]], now=NOW) for _ in range(2)
    ]

    unknown, noted, repeated = o.Unknown(), o.Noted(), o.Repeated()
    assert answers[0] == [unknown, noted, noted, repeated]
    assert answers[1] == [unknown, repeated, repeated, repeated]
    left = await claim(store, now=NOW + WAIT)
    assert [(it.journey, it.step) for it in left] == [(failed.message.journey, 2)]


async def test_a_receipt_of_nothing_is_forgotten(store: Store, owner: Owner) -> None:
    for _ in range(2):
        assert await store.message_receipts("p", [("x", True)], now=NOW) == [o.Unknown()]
    assert await owner.count("submission") == 1

    await store.sweep(limit=1_000_000, now=NOW + 60)

    assert await owner.count("submission") == 0


async def test_200_receipts_at_once_are_one(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    await worker.send()

    answers = await asyncio.gather(*(worker.receipt(delivered=False) for _ in range(MANY)))

    assert answers.count(o.Noted()) == 1
    assert (await take(store)).message.step == 2


# Flash calls


async def call(store: Store, *, tries: int = 5, phone: str | None = None) -> Login:
    login = await Login().begin(store)
    await login.start(store, new_challenge(phone or new_phone(), tries=tries))
    await (await take(store)).send(call=CALL)
    return login


@pytest.mark.parametrize("code", [CALL, RIGHT])
async def test_the_end_of_the_callers_number_is_a_second_code(store: Store, code: str) -> None:
    login = await call(store, phone=(phone := new_phone()))

    assert await login.enter(store, code, call=code == CALL) == o.Unregistered(phone)
    assert await login.enter(store, code, call=code == CALL) == o.Unregistered(phone)


async def test_a_call_has_three_tries_of_its_own(store: Store) -> None:
    login = await call(store, phone=(phone := new_phone()))

    answers, seen = [], []
    for guess in range(3):
        answers.append(await login.enter(store, f"000{guess}", call=True))
        page = await login.read(store)
        assert isinstance(page, o.FoundInteraction)
        seen.append(page.tries_left)

    assert answers == [o.Wrong(2), o.Wrong(1), o.Exhausted()]
    assert seen == [2, 1, 0]
    assert await login.enter(store, CALL, call=True) == o.Exhausted()
    assert await login.enter(store, WRONG) == o.Wrong(1)
    assert await login.enter(store, RIGHT) == o.Unregistered(phone)


async def test_a_calls_tries_are_the_challenges_too(store: Store) -> None:
    login = await call(store, tries=2)

    assert await login.enter(store, "0001", call=True) == o.Wrong(1)
    assert await login.enter(store, WRONG) == o.Exhausted()
    assert await login.enter(store, CALL, call=True) == o.Exhausted()


async def test_of_200_guesses_at_a_call_three_count(store: Store) -> None:
    login = await call(store)

    answers = await at_once(login.enter(store, f"x{it}", call=True) for it in range(MANY))

    assert answers.count(o.Exhausted()) == MANY - 2
    assert await login.enter(store, WRONG) == o.Wrong(1)


async def test_four_digits_cost_nothing_where_nobody_was_called(store: Store) -> None:
    login = await Login().begin(store)
    await login.start(store, new_challenge(new_phone()))

    assert await login.enter(store, CALL, call=True) == o.Malformed()
    assert await login.enter(store, WRONG) == o.Wrong(4)


async def test_the_next_call_has_another_code_and_its_own_tries(store: Store) -> None:
    login, phone = await Login().begin(store), new_phone()
    await login.start(store, new_challenge(phone))
    await (await take(store)).send(call=CALL)
    await login.enter(store, "0001", call=True)
    later = NOW + RESEND_AFTER
    await login.start(store, new_challenge(phone), later)
    worker = await take(store, now=later)
    await worker.submit(now=later)
    await worker.submitted(call="7777", now=later)

    assert await login.enter(store, CALL, later, call=True) == o.Wrong(2)
    assert await login.enter(store, "7777", later, call=True) == o.Unregistered(phone)


# A provider's messages of a day


async def test_a_provider_alarms_at_each_mark_once_and_gets_no_more_than_its_budget(
    store: Store,
) -> None:
    provider, answers = new("provider"), []
    for _ in range(11):
        await queue(store)
        worker = replace(await take(store), provider=provider)
        answers.append(await worker.submit(budget=10))

    alarms = [it.alarm.percent for it in answers if isinstance(it, o.Submitting) and it.alarm]
    assert alarms == [50, 80, 100]
    assert answers[10] == o.OverBudget()


async def test_a_message_over_budget_is_still_its_workers_to_take_on(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    assert await worker.submit(budget=0) == o.OverBudget()
    assert await worker.refused() == o.Noted()
    (message,) = await claim(store)
    assert message.step == 2


async def test_a_message_that_is_given_to_a_provider_again_is_counted_once(store: Store) -> None:
    await queue(store)
    worker = await take(store)
    answers = [await worker.submit(idempotent=True, budget=1) for _ in range(2)]
    assert [type(it) for it in answers] == [o.Submitting, o.Submitting]


async def test_two_hundred_at_once_take_exactly_what_a_budget_has(store: Store) -> None:
    provider = new("provider")
    for _ in range(200):
        await queue(store)
    name = new("claim")
    workers = [
        Worker(store=store, message=message, claim=name, provider=provider)
        for message in await claim(store, name)
    ]
    answers = await asyncio.gather(*(worker.submit(budget=20) for worker in workers))
    assert sum(isinstance(it, o.Submitting) for it in answers) == 20
    assert sum(isinstance(it, o.OverBudget) for it in answers) == 180
