"""What a message is held to: devices, budgets, growing waits, proofs, and the conversion watch."""

from typing import Any

import msgspec
import pytest

from conf.settings import Limit
from storage import outcomes as o
from storage.records import By, KeyedLimit, Proof, Sending, SendingCell
from storage.store import Store
from tests.storage.builders import (
    MANY,
    NOW,
    RIGHT,
    WRONG,
    Login,
    Owner,
    PhoneGrant,
    at_once,
    kinds,
    new,
    new_challenge,
    new_phone,
    new_sending,
    open_grant,
)

DAY = 86_400
MIDNIGHT = NOW - NOW % DAY
BY = By("ann@ops", "a test")


def watched(**changed: Any) -> Sending:
    return msgspec.structs.replace(new_sending(lowest_conversion=0.4, hold=600), **changed)


def proved(sending: Sending) -> Sending:
    return msgspec.structs.replace(sending, proof=Proof(new("proof"), NOW + 10 * DAY))


async def ask(
    store: Store, sending: Sending, now: int = NOW, phone: str | None = None, **changed: Any
) -> tuple[PhoneGrant, o.OtpStart]:
    """Ask for a code, as a client of nobody else's; the journey and the answer."""
    journey = PhoneGrant(client_id=changed.pop("client_id", new("client")))
    challenge = new_challenge(phone or new_phone(), sending=sending, **changed)
    return journey, await journey.start(store, challenge, now)


async def is_sent(store: Store, sending: Sending, now: int = NOW, **changed: Any) -> bool:
    _, answer = await ask(store, sending, now, **changed)
    return isinstance(answer, o.OtpStarted) and answer.send


async def fail(store: Store, times: int, at: int = NOW, **cell: Any) -> None:
    """Have so many messages sent that nobody answers, with what is given of `cell` in common."""
    for _ in range(times):
        await ask(store, proved(watched(**cell)), at)


async def cell_of(store: Store, key: str, now: int = NOW) -> SendingCell:
    found = await store.sending_cells(key.partition(":")[0], limit=1000, now=now)
    return next(cell for cell in found.cells if cell.key == key)


async def cells_held(store: Store, now: int = NOW) -> set[str]:
    return {cell.key for cell in (await store.sending_held(limit=100, now=now)).cells}


async def vouch(store: Store, at: int, **cell: Any) -> None:
    """Have three customers of long standing sign in from there, with such numbers."""
    for phone in [await old_customer(store) for _ in range(3)]:
        journey, _ = await ask(store, watched(**cell), at, phone=phone)
        await journey.enter(store, RIGHT, at)


async def old_customer(store: Store) -> str:
    """A customer of long standing; the phone."""
    return (await open_grant(store)).phone


@pytest.fixture
async def settled(fresh_store: Store) -> Store:
    """Customers of long standing sign in here, so that those who are none stand out."""
    grant = await open_grant(fresh_store, now=NOW - 2 * DAY)
    journeys = [PhoneGrant(client_id=new("client")) for _ in range(100)]
    for journey in journeys:
        await journey.start(fresh_store, new_challenge(grant.phone), NOW - 60)
        await journey.enter(fresh_store, RIGHT, NOW - 60)
    return fresh_store


# Devices


async def test_a_known_device_has_an_allowance_that_nobody_else_uses_up(store: Store) -> None:
    phone, one = new_phone(), Limit(1, 600)
    limits = (KeyedLimit(f"send:{phone}", one.burst, one.period),)
    device = KeyedLimit(f"device:{phone}", 2, 600)
    strangers = [
        await is_sent(store, new_sending(), phone=phone, send_limits=limits) for _ in range(2)
    ]

    own = [
        await is_sent(store, new_sending(device=device), phone=phone, send_limits=limits)
        for _ in range(3)
    ]

    assert strangers == [True, False]
    assert own == [True, True, False]


async def test_wrong_codes_of_strangers_do_not_count_against_a_known_device(store: Store) -> None:
    phone, limit = new_phone(), Limit(1, 600)
    stranger, _ = await ask(store, new_sending(), phone=phone)
    own, _ = await ask(
        store, new_sending(device=KeyedLimit(f"device:{phone}", 2, 600)), phone=phone
    )
    await stranger.enter(store, WRONG, wrong_tries=limit)
    await stranger.enter(store, WRONG, wrong_tries=limit)

    assert isinstance(await own.enter(store, WRONG, wrong_tries=limit), o.Wrong)
    assert isinstance(await stranger.enter(store, RIGHT, wrong_tries=limit), o.Limited)


# Spraying


async def test_wrong_codes_count_for_their_source_across_phones_and_journeys(store: Store) -> None:
    source = new("network")
    sending = new_sending(source=source, wrong_tries=KeyedLimit(f"wrong:source:{source}", 3, 300))
    journeys = [(await ask(store, sending))[0] for _ in range(4)]
    for journey in journeys:
        await journey.enter(store, WRONG)

    _, next_one = await ask(store, sending)
    second_try = await journeys[0].enter(store, WRONG)

    assert isinstance(next_one, o.Limited)
    assert isinstance(second_try, o.Limited)


async def test_the_right_code_and_the_last_tries_have_one_winner(store: Store) -> None:
    journey, _ = await ask(store, new_sending())
    guesses = [journey.enter(store, f"wrong-{number}") for number in range(MANY)]

    answers = kinds(await at_once([*guesses[:100], journey.enter(store, RIGHT), *guesses[100:]]))

    won = answers[o.Redeemed]
    assert answers[o.Wrong] == 4 if not won else answers[o.Wrong] <= 4
    assert answers[o.Redeemed] + answers[o.Exhausted] + answers[o.Wrong] + answers[o.Spent] == (
        MANY + 1
    )


# Limits


async def test_each_repeat_waits_twice_as_long_as_the_one_before(store: Store) -> None:
    journey, phone = PhoneGrant(), new_phone()
    waits, now = [], NOW
    for _ in range(4):
        answer = await journey.start(store, new_challenge(phone), now)
        assert isinstance(answer, o.OtpStarted)
        assert answer.send
        waits.append(answer.resend_at - now)
        now = answer.resend_at

    assert waits == [30, 60, 120, 240]


async def test_a_prefix_has_a_limit_for_strangers_alone_and_it_is_not_told(store: Store) -> None:
    phone = await old_customer(store)
    limit = KeyedLimit(new("prefix"), 1, 600)
    sending = new_sending(prefix_limit=limit)
    await ask(store, sending)

    _, stranger = await ask(store, sending)
    _, customer = await ask(store, sending, NOW + DAY, phone=phone)
    await ask(store, sending, NOW + DAY)
    _, same = await ask(store, sending, NOW + DAY)

    assert isinstance(stranger, o.OtpStarted)
    assert not stranger.send
    assert isinstance(customer, o.OtpStarted)
    assert customer.send
    assert isinstance(same, o.OtpStarted)
    assert (same.resend_at, same.expires_at) == (customer.resend_at, customer.expires_at)


async def test_what_is_held_back_in_silence_stays_so_when_the_request_is_repeated(
    store: Store,
) -> None:
    sending = new_sending(prefix_limit=KeyedLimit(new("prefix"), 1, 600))
    await ask(store, sending)
    journey, challenge = PhoneGrant(), new_challenge(new_phone(), sending=sending)

    answers = await at_once(journey.start(store, challenge) for _ in range(MANY))

    assert answers == [answers[0]] * MANY
    assert isinstance(answers[0], o.OtpStarted)
    assert not answers[0].send


async def test_nobody_can_have_one_number_sent_more_than_it_answers(store: Store) -> None:
    """Who never answers is a stranger, however long a customer."""
    phone, later = await old_customer(store), NOW + 2 * DAY
    closed = new_sending(prefix_limit=KeyedLimit(new("prefix"), 1, DAY))
    await ask(store, closed, later)

    sent = [await is_sent(store, closed, later, phone=phone) for _ in range(4)]

    assert sent == [True, True, True, False]


# Budgets


async def test_a_client_spends_no_more_than_its_budget_and_alarms_on_the_way(
    store: Store, owner: Owner
) -> None:
    client_id, phone = new("client"), await old_customer(store)
    sending = new_sending(client_budget=10)

    answers = [(await ask(store, sending, MIDNIGHT, client_id=client_id))[1] for _ in range(10)]
    customers = [
        (await ask(store, sending, MIDNIGHT + DAY, client_id=client_id, phone=phone))[1]
        for _ in range(3)
    ]

    started = [answer for answer in answers if isinstance(answer, o.OtpStarted)]
    assert [answer.send for answer in started] == [True] * 8 + [False] * 2
    assert [alarm.percent for answer in started for alarm in answer.alarms] == [50, 80]
    assert kinds(customers) == {o.OtpStarted: 3}
    assert await owner.count("message_budget") > 0


async def test_the_last_fifth_of_a_budget_is_for_customers_and_then_it_is_over(
    store: Store,
) -> None:
    client_id, today = new("client"), MIDNIGHT + 5 * DAY
    phones = [await old_customer(store) for _ in range(3)]
    sending = new_sending(client_budget=10)
    for _ in range(9):
        await ask(store, sending, today, client_id=client_id)

    last = [
        (await ask(store, sending, today, client_id=client_id, phone=phone))[1] for phone in phones
    ]

    assert kinds(last) == {o.OtpStarted: 2, o.Limited: 1}
    assert last[2] == o.Limited(DAY)
    assert await is_sent(store, sending, today + DAY, client_id=client_id)


# Proof of work


async def test_a_doubtful_source_works_first_and_a_proof_is_good_once(store: Store) -> None:
    source = new("network")
    await fail(store, 5, source=source)
    doubtful = watched(source=source)
    proof = Proof(new("proof"), NOW + 300)
    shown = msgspec.structs.replace(doubtful, proof=proof)

    _, without = await ask(store, doubtful)
    _, late = await ask(store, shown, NOW + 300)
    journey, challenge = PhoneGrant(), new_challenge(new_phone(), sending=shown)
    first = [await journey.start(store, challenge) for _ in range(2)]
    _, again = await ask(store, shown)

    assert without == late == again == o.ProofWanted()
    assert kinds(first) == {o.OtpStarted: 2}


async def test_customers_and_strangers_are_asked_for_the_same_work(store: Store) -> None:
    source, phone, later = new("network"), await old_customer(store), NOW + 2 * DAY
    await fail(store, 4, later, source=source)

    customer = (await ask(store, watched(source=source), later, phone=phone))[1]
    stranger = (await ask(store, watched(source=source), later))[1]

    assert customer == stranger == o.ProofWanted()


async def test_a_known_device_need_not_work(store: Store) -> None:
    source = new("network")
    await fail(store, 5, source=source)
    sending = watched(source=source, device=KeyedLimit(new("device"), 5, 600))

    assert await is_sent(store, sending)


# The conversion watch


@pytest.mark.parametrize(("cell", "tolerated"), [("prefix", 15), ("source", 8)])
async def test_a_cell_that_nobody_answers_from_is_held_and_tried_again_later(
    settled: Store, cell: str, tolerated: int
) -> None:
    common: dict[str, Any] = {cell: new(cell)}
    await fail(settled, tolerated - 1, **common)
    _, last = await ask(settled, proved(watched(**common)))
    assert isinstance(last, o.OtpStarted)
    assert last.send
    assert "held" in [alarm.what for alarm in last.alarms]

    assert not await is_sent(settled, proved(watched(**common)))
    assert await is_sent(settled, proved(watched(**common)), NOW + 600)
    # It was on trial: one more that is not answered, and it is held for longer.
    assert not await is_sent(settled, proved(watched(**common)), NOW + 601)


async def test_a_network_in_which_many_sign_in_may_leave_more_unanswered(
    settled: Store,
) -> None:
    source, later, phone = new("network"), NOW + 2 * DAY, await old_customer(settled)
    for _ in range(70):
        journey, _ = await ask(settled, watched(source=source), later, phone=phone)
        await journey.enter(settled, RIGHT, later)

    held = []
    for _ in range(11):
        await fail(settled, 1, later, source=source)
        held.append(bool((await settled.sending_held(limit=10, now=later)).cells))

    assert held == [False] * 10 + [True]


async def test_a_prefix_whose_messages_are_answered_is_not_held(settled: Store) -> None:
    prefix = new("prefix")
    for _ in range(30):
        journey, _ = await ask(settled, watched(prefix=prefix))
        await journey.enter(settled, RIGHT)
    await fail(settled, 20, prefix=prefix)

    assert await is_sent(settled, proved(watched(prefix=prefix)))


async def test_each_number_of_a_journey_is_watched(settled: Store) -> None:
    prefix, journey = new("prefix"), PhoneGrant()
    numbers = [new_phone() for _ in range(15)]
    for at, number in enumerate([*numbers, numbers[-1]]):
        challenge = new_challenge(number, sending=proved(watched(prefix=prefix)))
        await journey.start(settled, challenge, NOW + 30 * (at == len(numbers)))

    assert round((await cell_of(settled, f"prefix:{prefix}")).sent) == 15
    assert not await is_sent(settled, proved(watched(prefix=prefix)))


async def test_a_test_number_answers_for_no_other(fresh_store: Store) -> None:
    prefix, journey = new("prefix"), PhoneGrant()
    sending = watched(prefix=prefix)
    await journey.start(fresh_store, new_challenge(new_phone(), sending=sending))
    await journey.start(fresh_store, new_challenge(new_phone(), sending=sending, test=True))
    assert isinstance(await journey.enter(fresh_store, RIGHT), o.Redeemed)

    assert (await cell_of(fresh_store, f"prefix:{prefix}")).signed_in == 0


async def test_customers_of_long_standing_pass_where_strangers_are_held(
    settled: Store,
) -> None:
    prefix, later = new("prefix"), NOW + 2 * DAY
    phone = await old_customer(settled)
    await fail(settled, 15, later, prefix=prefix)

    assert not await is_sent(settled, proved(watched(prefix=prefix)), later)
    assert await is_sent(settled, proved(watched(prefix=prefix)), later, phone=phone)


async def test_strangers_in_a_network_of_customers_pass_where_their_prefix_is_held(
    settled: Store,
) -> None:
    prefix, source, later = new("prefix"), new("network"), NOW + 2 * DAY
    await vouch(settled, later, source=source, prefix=prefix)
    await fail(settled, 15, later, prefix=prefix)

    assert not await is_sent(settled, proved(watched(prefix=prefix)), later)
    # One who does not answer, and the neighbours' credit is used up.
    inside = [
        await is_sent(settled, proved(watched(prefix=prefix, source=source)), later)
        for _ in range(2)
    ]
    assert inside == [True, False]


async def test_a_network_vouches_for_no_range_that_none_of_its_customers_has(
    settled: Store,
) -> None:
    prefix, source, later = new("prefix"), new("network"), NOW + 2 * DAY
    await vouch(settled, later, source=source, prefix=prefix)
    await fail(settled, 15, later)

    assert not await is_sent(settled, proved(watched(source=source)), later)
    assert await is_sent(settled, proved(watched(source=source, prefix=prefix)), later)


async def test_strangers_whose_like_answer_pass_where_their_address_is_held(
    settled: Store,
) -> None:
    place = {"source": new("network"), "prefix": new("prefix")}
    later, address = NOW + 2 * DAY, new("address")
    await vouch(settled, later, **place)
    for _ in range(6):
        journey, _ = await ask(settled, proved(watched(**place)), later)
        await journey.enter(settled, RIGHT, later)
    await fail(settled, 3, later, source=place["source"], address=address)

    alike = proved(watched(address=address, **place))
    other = proved(watched(address=address, source=place["source"]))
    assert await is_sent(settled, alike, later)
    assert not await is_sent(settled, other, later)


async def test_a_range_is_held_for_what_is_asked_for_in_vain(settled: Store) -> None:
    """It is hardly sent anything any more, and so would never fail by itself."""
    prefix = new("prefix")
    await fail(settled, 15)  # all unproven networks are held
    await fail(settled, 14, prefix=prefix)
    assert await cells_held(settled) == {"strangers:unproven"}

    _, last = await ask(settled, proved(watched(prefix=prefix)))

    assert isinstance(last, o.OtpStarted)
    assert [(alarm.what, alarm.key) for alarm in last.alarms] == [("held", f"prefix:{prefix}")]
    assert await cells_held(settled) == {"strangers:unproven", f"prefix:{prefix}"}
    await settled.sending_unblock(f"prefix:{prefix}", by=BY, now=NOW)
    await ask(settled, proved(watched(prefix=prefix)))
    assert await cells_held(settled) == {"strangers:unproven"}


async def test_a_range_is_not_held_longer_each_time_for_what_is_not_sent(settled: Store) -> None:
    """Or a few who only ask could have it held for most of a day."""
    prefix = new("prefix")
    for begin in (NOW, NOW + 600):
        await fail(settled, 15, begin)  # all unproven networks are held, the second time for longer
        await fail(settled, 15, begin, prefix=prefix)
        assert (await cell_of(settled, f"prefix:{prefix}", begin)).held_until == begin + 600
    assert (await cell_of(settled, "strangers:unproven", begin)).held_until == begin + 1200


async def test_a_crowd_of_newcomers_to_a_new_store_is_not_held(fresh_store: Store) -> None:
    """Nobody can vouch for anybody, and all codes are still on their way."""
    sources, prefixes = [new("network") for _ in range(20)], [new("prefix") for _ in range(20)]
    sent = [
        await is_sent(
            fresh_store,
            proved(watched(source=sources[it % 20], prefix=prefixes[it % 20])),
            client_id="launched",
        )
        for it in range(140)
    ]

    assert sent == [True] * 140


async def test_an_attack_on_a_new_store_is_held_in_the_end(fresh_store: Store) -> None:
    await fail(fresh_store, 299)
    assert await cells_held(fresh_store) == set()
    await fail(fresh_store, 1)
    assert await cells_held(fresh_store) == {"strangers:unproven"}


async def test_many_prefixes_from_many_networks_are_noticed_together(settled: Store) -> None:
    await fail(settled, 15)

    assert not await is_sent(settled, proved(watched()))


async def test_what_is_held_is_told_to_operators_and_let_go(settled: Store) -> None:
    prefix = new("prefix")
    await fail(settled, 15, prefix=prefix)
    await ask(settled, proved(watched(prefix=prefix)))

    held = await settled.sending_held(limit=10, now=NOW)
    cells = {cell.key: cell for cell in held.cells}
    assert cells[f"prefix:{prefix}"].held_until == NOW + 600
    assert round(cells[f"prefix:{prefix}"].sent) == 15

    assert await settled.sending_unblock(f"prefix:{prefix}", by=BY, now=NOW) == o.Unblocked()
    again = await settled.sending_unblock(f"prefix:{prefix}", by=BY, now=NOW)
    assert again == o.NotBlocked()


# Operators


async def test_what_is_blocked_is_sent_nothing_and_says_when(store: Store) -> None:
    prefix, phone = new("prefix"), await old_customer(store)
    key = f"prefix:{prefix}"
    for _ in range(2):
        blocked = await store.sending_block(key, blocked_until=NOW + 60, by=BY, now=NOW)
        assert blocked == o.BlockedSending(NOW + 60)

    _, answer = await ask(store, new_sending(prefix=prefix), phone=phone)

    assert answer == o.Limited(60)
    assert await is_sent(store, new_sending(prefix=prefix), NOW + 60)


async def test_a_client_that_is_none_is_neither_blocked_nor_let_go(
    store: Store, owner: Owner
) -> None:
    key, rows = f"client:{new('client')}", await owner.count("conversion")

    assert await store.sending_block(key, blocked_until=NOW + 60, by=BY, now=NOW) == o.Unknown()
    assert await store.sending_unblock(key, by=BY, now=NOW) == o.Unknown()
    assert await owner.count("conversion") == rows


async def test_a_client_is_known_before_its_first_message(store: Store, owner: Owner) -> None:
    client_id = new("client")
    await owner.eval(
        "return box.space.client:insert({ (...), 'shop', 'operator', '{}', 1 })", client_id
    )
    key = f"client:{client_id}"
    assert await store.sending_unblock(key, by=BY, now=NOW) == o.NotBlocked()
    blocked = await store.sending_block(key, blocked_until=NOW + 60, by=BY, now=NOW)
    assert blocked == o.BlockedSending(NOW + 60)
    assert await store.sending_unblock(key, by=BY, now=NOW) == o.Unblocked()


async def test_what_was_counted_of_a_client_outlives_it(fresh_store: Store) -> None:
    client_id = new("client")
    await ask(fresh_store, new_sending(), client_id=client_id)  # of a client that is gone

    key = f"client:{client_id}"
    assert await fresh_store.sending_unblock(key, by=BY, now=NOW) == o.NotBlocked()


async def test_a_key_under_which_nothing_was_counted_is_unknown(store: Store) -> None:
    assert await store.sending_unblock("strangers:unprovn", by=BY, now=NOW) == o.Unknown()


async def test_cells_are_listed_page_by_page(fresh_store: Store) -> None:
    names = sorted(new("network") for _ in range(5))
    for name in names:
        await ask(fresh_store, watched(source=name))

    first = await fresh_store.sending_cells("network", limit=3, now=NOW)
    second = await fresh_store.sending_cells("network", after=first.after, limit=3, now=NOW)

    found = [cell.key for cell in (*first.cells, *second.cells)]
    assert found == [f"network:{name}" for name in names]
    assert second.after is None


async def test_a_journey_on_the_pages_is_watched_as_well(settled: Store) -> None:
    prefix = new("prefix")
    await fail(settled, 15, prefix=prefix)
    login = await Login().begin(settled)

    answer = await login.start(
        settled, new_challenge(new_phone(), sending=proved(watched(prefix=prefix)))
    )

    assert isinstance(answer, o.OtpStarted)
    assert not answer.send
