"""One-time codes on the pages and by the phone grant: tries, resending, limits, test numbers."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from conf.settings import Limit
from storage import outcomes as o
from storage.records import KeyedLimit
from storage.store import Store
from tests.storage.builders import (
    MANY,
    NOW,
    RIGHT,
    WRONG,
    Journey,
    Login,
    Owner,
    PhoneGrant,
    app_login,
    at_once,
    kinds,
    new,
    new_challenge,
    new_phone,
    new_sign_in,
    open_grant,
)

LONGEST = 600
VALIDITY = 180
RESEND_AFTER = 30
TRIES = 5

NewJourney = Callable[[], Awaitable[Journey]]


@pytest.fixture(params=["page", "app", "grant"])
def new_journey(request: pytest.FixtureRequest, store: Store) -> NewJourney:
    """Begins a journey of one of the kinds."""

    async def page() -> Journey:
        return await Login().begin(store)

    async def app() -> Journey:
        return await app_login().begin(store)

    async def grant() -> Journey:
        return PhoneGrant()

    return {"page": page, "app": app, "grant": grant}[request.param]


def is_proof(answer: object) -> bool:
    return isinstance(answer, o.Redeemed | o.SignedIn | o.Unregistered)


def guess(number: int) -> str:
    return f"wrong-{number}"


# Tries


async def test_the_right_code_proves_the_phone(store: Store, new_journey: NewJourney) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))

    assert is_proof(await journey.enter(store, RIGHT))


async def test_each_wrong_code_costs_a_try(store: Store, new_journey: NewJourney) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))

    answers = [await journey.enter(store, guess(number)) for number in range(TRIES)]

    assert answers == [o.Wrong(4), o.Wrong(3), o.Wrong(2), o.Wrong(1), o.Exhausted()]


async def test_the_right_code_comes_too_late_after_the_last_try(
    store: Store, new_journey: NewJourney
) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone(), tries=1))
    await journey.enter(store, WRONG)

    assert await journey.enter(store, RIGHT) == o.Exhausted()


async def test_the_right_code_may_come_with_the_last_try(
    store: Store, new_journey: NewJourney
) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))
    for number in range(TRIES - 1):
        await journey.enter(store, guess(number))

    assert is_proof(await journey.enter(store, RIGHT))


async def test_many_guesses_at_once_have_the_tries_and_not_one_more(
    store: Store, new_journey: NewJourney
) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))

    answers = await at_once(journey.enter(store, guess(number)) for number in range(MANY))

    assert kinds(answers) == {o.Wrong: TRIES - 1, o.Exhausted: MANY - TRIES + 1}


async def test_many_guesses_on_two_connections_have_the_tries_and_not_one_more(
    store: Store, other_store: Store, new_journey: NewJourney
) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))

    answers = await at_once(
        journey.enter((store, other_store)[number % 2], guess(number)) for number in range(MANY)
    )

    assert kinds(answers)[o.Wrong] == TRIES - 1


@pytest.mark.parametrize("place", [0, TRIES - 1, TRIES, MANY - 1])
async def test_the_right_code_among_many_guesses_wins_if_a_try_is_left_for_it(
    store: Store, new_journey: NewJourney, place: int
) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))
    codes = [guess(number) for number in range(MANY)]
    codes[place] = RIGHT

    answers = await at_once(journey.enter(store, code) for code in codes)

    assert is_proof(answers[place]) == (place < TRIES)
    others = kinds(answers[:place] + answers[place + 1 :])
    assert others[o.Wrong] == min(place, TRIES - 1)


async def test_a_wrong_code_by_the_same_request_again_is_not_another_guess(
    store: Store, new_journey: NewJourney
) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))

    answers = await at_once(journey.enter(store, WRONG, attempt="once") for _ in range(MANY))

    assert answers == [o.Wrong(4)] * MANY
    assert await journey.enter(store, WRONG) == o.Wrong(3)


async def test_a_code_of_nothing_is_unknown(store: Store) -> None:
    assert await PhoneGrant().enter(store, RIGHT) == o.Unknown()


async def test_a_code_that_the_sweep_took_away_has_expired_for_the_pages(store: Store) -> None:
    login = await Login().begin(store)

    assert await login.enter(store, RIGHT) == o.CodeExpired()


async def test_a_code_is_good_until_the_second_before_it_expires(
    store: Store, new_journey: NewJourney
) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))

    assert is_proof(await journey.enter(store, RIGHT, NOW + VALIDITY - 1))


async def test_a_code_is_expired_in_the_second_of_its_expiry(
    store: Store, new_journey: NewJourney
) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))

    assert await journey.enter(store, RIGHT, NOW + VALIDITY) == o.CodeExpired()


async def test_a_late_guess_costs_no_try(store: Store, new_journey: NewJourney) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone()))
    await journey.enter(store, WRONG, NOW + VALIDITY)

    assert await journey.enter(store, guess(1)) == o.Wrong(TRIES - 1)


async def test_the_longest_phone_is_a_phone_like_any_other(
    store: Store, new_journey: NewJourney
) -> None:
    phone, journey = f"+{999_999_999_999_999 - int(new_phone()) % 10**9}", await new_journey()
    await journey.start(store, new_challenge(phone))

    assert await journey.enter(store, WRONG) == o.Wrong(TRIES - 1)
    assert is_proof(await journey.enter(store, RIGHT))


# Sending


async def test_a_challenge_asks_for_a_message(store: Store, new_journey: NewJourney) -> None:
    journey, challenge = await new_journey(), new_challenge(new_phone())

    started = await journey.start(store, challenge)

    assert started.challenge_id == challenge.challenge_id
    assert started.send
    assert (started.resend_at, started.expires_at) == (NOW + RESEND_AFTER, NOW + VALIDITY)


async def test_a_resend_before_its_time_sends_nothing(
    store: Store, new_journey: NewJourney
) -> None:
    journey, phone = await new_journey(), new_phone()
    first = await journey.start(store, new_challenge(phone))

    early = await journey.start(store, new_challenge(phone), NOW + RESEND_AFTER - 1)

    assert not early.send
    assert early.challenge_id == first.challenge_id
    assert (early.resend_at, early.expires_at) == (first.resend_at, first.expires_at)


async def test_a_resend_in_time_sends_the_same_code_for_a_little_longer(
    store: Store, new_journey: NewJourney
) -> None:
    journey, phone, later = await new_journey(), new_phone(), NOW + RESEND_AFTER
    first = await journey.start(store, new_challenge(phone))

    again = await journey.start(store, new_challenge(phone), later)

    assert again.send
    assert again.challenge_id == first.challenge_id
    assert (again.resend_at, again.expires_at) == (later + 2 * RESEND_AFTER, later + VALIDITY)
    assert is_proof(await journey.enter(store, RIGHT, later + VALIDITY - 1))


async def test_a_code_does_not_live_for_ever_however_often_it_is_sent(
    store: Store, new_journey: NewJourney
) -> None:
    journey, phone = await new_journey(), new_phone()
    first = last = await journey.start(store, new_challenge(phone))
    for later in (NOW + 150, NOW + 300, NOW + LONGEST - VALIDITY):
        last = await journey.start(store, new_challenge(phone), later)
        assert last.challenge_id == first.challenge_id

    next_one = await journey.start(store, new_challenge(phone), last.resend_at)
    assert next_one.challenge_id != first.challenge_id


async def test_a_resend_gives_no_new_tries(store: Store, new_journey: NewJourney) -> None:
    journey, phone = await new_journey(), new_phone()
    await journey.start(store, new_challenge(phone))
    await journey.enter(store, WRONG)

    await journey.start(store, new_challenge(phone), NOW + RESEND_AFTER)

    assert await journey.enter(store, guess(1), NOW + RESEND_AFTER) == o.Wrong(TRIES - 2)


async def test_the_same_attempt_again_has_the_same_answer_and_counts_once(
    store: Store, new_journey: NewJourney
) -> None:
    journey, phone = await new_journey(), new_phone()
    challenge = new_challenge(phone, send_limits=(KeyedLimit(f"send:{phone}", 1, 600),))

    answers = await at_once(journey.start(store, challenge) for _ in range(MANY))

    assert answers == [answers[0]] * MANY
    assert isinstance(answers[0], o.OtpStarted)


async def test_another_phone_is_another_challenge(store: Store, new_journey: NewJourney) -> None:
    journey = await new_journey()
    first = await journey.start(store, new_challenge(new_phone()))
    await journey.enter(store, WRONG)

    second = await journey.start(store, new_challenge(new_phone()))

    assert second.send
    assert second.challenge_id != first.challenge_id
    assert await journey.enter(store, guess(1)) == o.Wrong(TRIES - 1)


@pytest.mark.parametrize("end", ["exhausted", "expired"])
async def test_after_the_end_of_a_challenge_the_next_one_is_new(
    store: Store, new_journey: NewJourney, end: str
) -> None:
    journey, phone = await new_journey(), new_phone()
    first = await journey.start(store, new_challenge(phone, tries=1))
    if end == "exhausted":
        await journey.enter(store, WRONG)

    late = NOW + VALIDITY - 1 if end == "exhausted" else NOW + VALIDITY
    second = await journey.start(store, new_challenge(phone), late)

    assert second.challenge_id != first.challenge_id
    assert is_proof(await journey.enter(store, RIGHT, late))


# Limits


async def test_a_send_limit_refuses_and_says_when(store: Store, new_journey: NewJourney) -> None:
    phone = new_phone()
    limits = (KeyedLimit(f"send:{phone}", 2, 600),)

    answers = [
        await (await new_journey()).start(store, new_challenge(phone, send_limits=limits))
        for _ in range(3)
    ]

    assert kinds(answers[:2]) == {o.OtpStarted: 2}
    assert answers[2] == o.Limited(300)
    later = await (await new_journey()).start(
        store, new_challenge(phone, send_limits=limits), NOW + 300
    )
    assert isinstance(later, o.OtpStarted)


async def test_many_sends_at_once_keep_to_the_limit(store: Store, new_journey: NewJourney) -> None:
    phone = new_phone()
    limits = (KeyedLimit(f"send:{phone}", 5, 600),)
    journeys = [await new_journey() for _ in range(MANY)]

    answers = await at_once(
        journey.start(store, new_challenge(phone, send_limits=limits)) for journey in journeys
    )

    assert kinds(answers) == {o.OtpStarted: 5, o.Limited: MANY - 5}


async def test_a_send_that_one_limit_refuses_counts_against_none(
    store: Store, new_journey: NewJourney
) -> None:
    phone, address = new_phone(), new("address")
    narrow, wide = KeyedLimit(f"send:{phone}", 1, 600), KeyedLimit(address, 2, 600)
    for _ in range(3):
        await (await new_journey()).start(store, new_challenge(phone, send_limits=(narrow, wide)))

    other = new_challenge(new_phone(), send_limits=(wide,))

    assert isinstance(await (await new_journey()).start(store, other), o.OtpStarted)


@pytest.mark.parametrize("burst", [1, 3, 7, 50, 300])
@pytest.mark.parametrize("period", [1, 10, 100, 3601])
async def test_a_limit_allows_its_burst_at_once_and_not_one_more(
    store: Store, burst: int, period: int
) -> None:
    limits = (KeyedLimit(new("limit"), burst, period),)

    answers = await at_once(
        PhoneGrant().start(store, new_challenge(new_phone(), send_limits=limits))
        for _ in range(burst + 1)
    )

    assert kinds(answers) == {o.OtpStarted: burst, o.Limited: 1}


async def test_wrong_codes_count_across_the_journeys_of_a_phone(
    store: Store, new_journey: NewJourney
) -> None:
    phone, limit = new_phone(), Limit(3, 600)
    journeys = [await new_journey() for _ in range(4)]
    for journey in journeys:
        await journey.start(store, new_challenge(phone))

    answers = [await journey.enter(store, WRONG, wrong_tries=limit) for journey in journeys]

    assert answers == [o.Wrong(4)] * 4
    assert await journeys[0].enter(store, WRONG, wrong_tries=limit) == o.Limited(200)


async def test_guesses_of_others_do_not_lock_a_customer_out(
    store: Store, new_journey: NewJourney
) -> None:
    phone, limit, others, own = new_phone(), Limit(1, 600), await new_journey(), await new_journey()
    await others.start(store, new_challenge(phone))
    await own.start(store, new_challenge(phone))
    await others.enter(store, WRONG, wrong_tries=limit)

    assert is_proof(await own.enter(store, RIGHT, wrong_tries=limit))


async def test_a_limited_try_is_not_counted_and_not_looked_at(
    store: Store, new_journey: NewJourney
) -> None:
    phone, limit, journey = new_phone(), Limit(1, 100), await new_journey()
    await journey.start(store, new_challenge(phone))
    await journey.enter(store, WRONG, wrong_tries=limit)

    assert await journey.enter(store, RIGHT, wrong_tries=limit) == o.Limited(100)
    assert await journey.enter(store, guess(1), NOW + 100, limit) == o.Wrong(TRIES - 2)


async def test_a_right_code_does_not_count_as_a_try(store: Store, new_journey: NewJourney) -> None:
    phone, limit = new_phone(), Limit(1, 600)

    answers = []
    for _ in range(3):
        journey = await new_journey()
        await journey.start(store, new_challenge(phone))
        answers.append(await journey.enter(store, RIGHT, wrong_tries=limit))

    assert all(is_proof(answer) for answer in answers)


# Test numbers


async def test_a_test_number_is_sent_nothing_and_has_no_limits(
    store: Store, new_journey: NewJourney
) -> None:
    phone = new_phone()
    nothing = (KeyedLimit(f"send:{phone}", 1, 600),)

    for _ in range(10):
        journey = await new_journey()
        challenge = new_challenge(phone, test=True, send_limits=nothing)
        started = await journey.start(store, challenge)
        wrong = await journey.enter(store, WRONG, wrong_tries=Limit(1, 600))

        assert isinstance(started, o.OtpStarted)
        assert not started.send
        assert wrong == o.Wrong(TRIES - 1)


async def test_a_test_number_still_has_only_its_tries(
    store: Store, new_journey: NewJourney
) -> None:
    journey = await new_journey()
    await journey.start(store, new_challenge(new_phone(), test=True))

    answers = await at_once(journey.enter(store, guess(number)) for number in range(MANY))

    assert kinds(answers) == {o.Wrong: TRIES - 1, o.Exhausted: MANY - TRIES + 1}


async def test_a_test_number_of_an_ordinary_customer_is_refused(
    store: Store, new_journey: NewJourney
) -> None:
    customer = await open_grant(store)
    journey = await new_journey()

    assert await journey.start(store, new_challenge(customer.phone, test=True)) == o.Refused()
    assert not is_proof(await journey.enter(store, RIGHT))


async def test_a_test_number_may_come_again(store: Store, new_journey: NewJourney) -> None:
    phone = new_phone()
    first, second = PhoneGrant(), await new_journey()
    await first.start(store, new_challenge(phone, test=True))
    await first.enter(store, RIGHT)

    started = await second.start(store, new_challenge(phone, test=True))

    assert isinstance(started, o.OtpStarted)
    assert is_proof(await second.enter(store, RIGHT))


# Whose journey it is


async def test_a_session_is_redeemed_by_its_client_alone(store: Store) -> None:
    journey = PhoneGrant()
    await journey.start(store, new_challenge(new_phone()))

    assert await replace(journey, client_id="other").enter(store, RIGHT) == o.Unknown()
    assert await journey.enter(store, WRONG) == o.Wrong(TRIES - 1)


async def test_a_journey_of_the_pages_is_not_redeemed_by_the_grant(store: Store) -> None:
    login = await Login().begin(store)
    await login.start(store, new_challenge(new_phone()))

    thief = PhoneGrant(otp_session=login.interaction_id)

    assert await thief.enter(store, RIGHT) == o.Unknown()
    assert await login.enter(store, WRONG) == o.Wrong(TRIES - 1)


async def test_a_journey_of_the_grant_is_not_finished_on_the_pages(store: Store) -> None:
    journey = PhoneGrant()
    await journey.start(store, new_challenge(new_phone()))

    thief = await Login(interaction_id=journey.otp_session).begin(store)

    assert await thief.enter(store, RIGHT) == o.CodeExpired()
    assert isinstance(await journey.enter(store, RIGHT), o.Redeemed)


async def test_another_browser_neither_sends_nor_guesses_nor_proves(store: Store) -> None:
    login, phone = await Login().begin(store), new_phone()
    await login.start(store, new_challenge(phone))
    stranger = replace(login, browser=new("browser"))

    assert await stranger.start(store, new_challenge(phone)) == o.OtherBrowser()
    assert await stranger.enter(store, WRONG) == o.OtherBrowser()
    assert await stranger.enter(store, RIGHT) == o.OtherBrowser()
    assert await login.enter(store, WRONG) == o.Wrong(TRIES - 1)


@pytest.mark.parametrize("changed", ["session", "client", "phone"])
async def test_a_resend_is_for_a_session_of_this_client_and_phone(
    store: Store, changed: str
) -> None:
    phone, journey = new_phone(), PhoneGrant()
    await journey.start(store, new_challenge(phone))
    again = replace(journey, resend=True)

    if changed == "session":
        again = replace(again, otp_session="none")
    if changed == "client":
        again = replace(again, client_id="other")
    asked = new_phone() if changed == "phone" else phone

    assert await again.start(store, new_challenge(asked), NOW + RESEND_AFTER) == o.Unknown()
    assert isinstance(await journey.enter(store, RIGHT), o.Redeemed)


async def test_a_session_is_begun_again_by_its_client_alone(store: Store) -> None:
    phone, journey = new_phone(), PhoneGrant()
    await journey.start(store, new_challenge(phone))
    other = replace(journey, client_id="other")

    assert await other.start(store, new_challenge(phone), NOW + RESEND_AFTER) == o.Unknown()
    assert isinstance(await journey.enter(store, RIGHT), o.Redeemed)


async def test_a_resend_of_a_running_session_sends(store: Store) -> None:
    phone, journey = new_phone(), PhoneGrant()
    await journey.start(store, new_challenge(phone))

    again = await replace(journey, resend=True).start(
        store, new_challenge(phone), NOW + RESEND_AFTER
    )

    assert isinstance(again, o.OtpStarted)
    assert again.send


# Redeeming by the phone grant


async def test_a_code_is_redeemed_once(store: Store) -> None:
    journey = PhoneGrant()
    await journey.start(store, new_challenge(new_phone()))
    first = await journey.enter(store, RIGHT)

    second = replace(journey, attempt=new("attempt"), sign_in=new_sign_in())

    assert isinstance(first, o.Redeemed)
    assert await second.enter(store, RIGHT) == o.Spent()


async def test_many_redeem_one_code_at_once_and_one_succeeds(store: Store) -> None:
    journey = PhoneGrant()
    await journey.start(store, new_challenge(new_phone()))

    answers = await at_once(
        replace(journey, attempt=new("attempt"), sign_in=new_sign_in()).enter(store, RIGHT)
        for _ in range(MANY)
    )

    assert kinds(answers) == {o.Redeemed: 1, o.Spent: MANY - 1}


async def test_the_same_redemption_again_has_the_same_answer(store: Store, owner: Owner) -> None:
    journey = PhoneGrant()
    await journey.start(store, new_challenge(new_phone()))

    answers = await at_once(journey.enter(store, RIGHT) for _ in range(MANY))

    assert isinstance(answers[0], o.Redeemed)
    assert answers == [answers[0]] * MANY
    assert await owner.events("signed_in", answers[0].sub) == 1


async def test_a_spent_session_does_not_tell_right_from_wrong_to_others(store: Store) -> None:
    journey = PhoneGrant()
    await journey.start(store, new_challenge(new_phone()))
    await journey.enter(store, RIGHT)

    stranger = replace(journey, attempt=new("attempt"))

    assert await stranger.enter(store, RIGHT) == await stranger.enter(store, WRONG) == o.Spent()


async def test_the_same_redemption_after_the_grant_has_ended_is_spent(store: Store) -> None:
    journey = PhoneGrant()
    await journey.start(store, new_challenge(new_phone()))
    answer = await journey.enter(store, RIGHT)
    assert isinstance(answer, o.Redeemed)

    await store.session_end(answer.sid, client_id=None, now=NOW)

    assert await journey.enter(store, RIGHT) == o.Spent()
