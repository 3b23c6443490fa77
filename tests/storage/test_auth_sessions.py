"""Logins that an app begins without a browser: their beginning, and whose they are."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from storage import outcomes as o
from storage.records import KeyedLimit, NewChallenge
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    LIFETIMES,
    MANY,
    NOW,
    RIGHT,
    WRONG,
    Code,
    Login,
    Owner,
    app_login,
    at_once,
    digest,
    kinds,
    new,
    new_challenge,
    new_phone,
    new_request,
    open_grant,
    room,
)

NONE_LEFT = 1  # of a limit of one event in a day


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """An initial request. The same object makes the same call again."""

    login: Login = field(default_factory=app_login)
    challenge: NewChallenge | None = None
    limit: KeyedLimit = field(default_factory=room)

    async def begin(self, store: Store, now: int = NOW) -> o.AuthSessionStart:
        return await store.auth_session_start(
            self.login.interaction_id,
            browser_hash=digest(self.login.browser),
            request=self.login.request,
            expires_at=now + LIFETIMES.interaction,
            limit=self.limit,
            challenge=self.challenge,
            now=now,
        )


def only_one(what: str) -> KeyedLimit:
    return KeyedLimit(new(what), NONE_LEFT, 86_400)


async def test_without_a_phone_it_waits_for_one(store: Store) -> None:
    beginning = Beginning()

    assert await beginning.begin(store) == o.InteractionStarted()
    assert await beginning.login.read(store) == o.FoundInteraction("phone", beginning.login.request)


async def test_with_a_phone_its_challenge_begins_in_the_same_call(store: Store) -> None:
    phone = new_phone()
    beginning = Beginning(challenge=new_challenge(phone))

    started = await beginning.begin(store)

    assert isinstance(started, o.OtpStarted)
    assert started.send
    assert await beginning.login.read(store) == o.FoundInteraction(
        "code", beginning.login.request, phone, tries_left=5, resend_at=NOW + 30
    )
    assert await beginning.login.enter(store, RIGHT) == o.Unregistered(phone)


async def test_the_same_beginning_again_has_the_same_answer(store: Store) -> None:
    beginning = Beginning(
        challenge=new_challenge(new_phone(), send_limits=(only_one("send"),)),
        limit=only_one("begin"),
    )

    answers = await at_once(beginning.begin(store) for _ in range(MANY))

    assert kinds(answers) == {o.OtpStarted: MANY}
    assert all(answer == answers[0] for answer in answers)


async def test_there_is_no_more_room_than_the_limit_says(store: Store, owner: Owner) -> None:
    limit = only_one("begin")
    beginnings = [Beginning(challenge=new_challenge(new_phone()), limit=limit) for _ in range(9)]

    answers = await at_once(it.begin(store) for it in beginnings)

    assert kinds(answers) == {o.OtpStarted: 1, o.Limited: 8}
    for beginning, answer in zip(beginnings, answers, strict=True):
        if isinstance(answer, o.Limited):
            assert await beginning.login.read(store) == o.Unknown()


async def test_where_no_code_may_be_sent_nothing_is_left(store: Store, owner: Owner) -> None:
    limits = (only_one("send"),)
    await Beginning(challenge=new_challenge(new_phone(), send_limits=limits)).begin(store)
    interactions, challenges = await owner.count("interaction"), await owner.count("challenge")
    refused = Beginning(challenge=new_challenge(new_phone(), send_limits=limits))

    for _ in range(2):
        assert isinstance(await refused.begin(store), o.Limited)

    assert await refused.login.read(store) == o.Unknown()
    assert await owner.count("interaction") == interactions
    assert await owner.count("challenge") == challenges


async def test_a_test_number_of_a_real_customer_is_refused_and_another_may_follow(
    store: Store,
) -> None:
    customer = await open_grant(store)
    beginning = Beginning(challenge=new_challenge(customer.phone, test=True))

    assert await beginning.begin(store) == o.Refused()
    assert isinstance(await beginning.login.start(store, new_challenge(new_phone())), o.OtpStarted)


# Whose it is


async def test_it_says_whose_it_is(store: Store) -> None:
    login = app_login()
    await Beginning(login=login).begin(store)

    async def client_of(interaction_id: str, auth_session: str) -> o.AuthSessionRead:
        return await store.auth_session_read(interaction_id, browser_hash=digest(auth_session))

    assert await client_of(login.interaction_id, login.browser) == o.FoundAuthSession(CLIENT)
    assert await client_of(login.interaction_id, "another") == o.Unknown()
    assert await client_of("another", login.browser) == o.Unknown()


@pytest.mark.parametrize("bound_client_id", ["other", None, ""])
async def test_nobody_else_goes_on_with_it(store: Store, bound_client_id: str | None) -> None:
    login, phone = app_login(), new_phone()
    await Beginning(login=login, challenge=new_challenge(phone)).begin(store)
    other = replace(login, bound_client_id=bound_client_id)

    answers: list[Any] = [
        await other.read(store),
        await other.start(store, new_challenge(new_phone())),
        await other.enter(store, WRONG),
        await other.enter(store, RIGHT),
        await other.register(store),
    ]
    if bound_client_id is None:
        answers.append(await other.cancel(store))

    assert answers == [o.Unknown()] * len(answers)
    found = await login.read(store)
    assert isinstance(found, o.FoundInteraction)
    assert (found.step, found.tries_left) == ("code", 5)
    assert await login.enter(store, RIGHT) == o.Unregistered(phone)


async def test_no_app_goes_on_with_what_a_browser_began(store: Store) -> None:
    login = await Login().begin(store)

    assert await replace(login, bound_client_id=CLIENT).read(store) == o.Unknown()


# Its end


async def test_many_last_steps_at_once_have_one_code(store: Store) -> None:
    customer, login = await open_grant(store), app_login()
    await Beginning(login=login, challenge=new_challenge(customer.phone)).begin(store)

    answers = await at_once(login.enter(store, RIGHT) for _ in range(MANY))

    assert kinds(answers) == {o.SignedIn: MANY}
    assert len({answer.sid for answer in answers if isinstance(answer, o.SignedIn)}) == 1


@pytest.mark.parametrize("redirect_uri", [None, "https://app.example/callback"])
async def test_its_code_is_bound_to_no_redirect_uri(store: Store, redirect_uri: str | None) -> None:
    customer, login = await open_grant(store), app_login()
    await Beginning(login=login, challenge=new_challenge(customer.phone)).begin(store)
    await login.enter(store, RIGHT)
    code = Code(grant_id=login.sign_in.grant_id, code=login.code, redirect_uri=redirect_uri)

    assert await replace(code, code_challenge="other").redeem(store) == o.Mismatch("code_verifier")
    assert await replace(code, client_id="other").redeem(store) == o.Mismatch("client_id")
    assert isinstance(await code.redeem(store), o.Redeemed)
    assert await login.enter(store, RIGHT) == o.Completed(login.request)


async def test_a_code_of_the_pages_wants_its_redirect_uri(store: Store) -> None:
    customer = await open_grant(store)
    login = Login(request=new_request())
    await login.prove(store, customer.phone)
    code = Code(grant_id=login.sign_in.grant_id, code=login.code, redirect_uri=None)

    assert await code.redeem(store) == o.Mismatch("redirect_uri")
