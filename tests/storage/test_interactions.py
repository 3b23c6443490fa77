"""Logins in progress and stored authorization requests: whose they are, and for how long."""

from dataclasses import replace

from storage import outcomes as o
from storage.store import Store
from tests.storage.builders import (
    LIFETIMES,
    NOW,
    RIGHT,
    WRONG,
    Login,
    PhoneGrant,
    at_once,
    digest,
    new,
    new_challenge,
    new_phone,
    new_request,
    open_grant,
    room,
)

ENOUGH_TO_FILL = 20_000


async def test_a_login_begins_at_the_phone(store: Store) -> None:
    login = await Login().begin(store)

    assert await login.read(store) == o.FoundInteraction("phone", login.request)


async def test_a_login_goes_on_to_the_code(store: Store) -> None:
    login, phone = await Login().begin(store), new_phone()
    await login.start(store, new_challenge(phone))
    await login.enter(store, WRONG)

    assert await login.read(store) == o.FoundInteraction(
        "code", login.request, phone, tries_left=4, resend_at=NOW + 30
    )


async def test_a_sign_in_ends_it(store: Store) -> None:
    customer, login = await open_grant(store), Login()
    await login.prove(store, customer.phone)

    found = await login.read(store)

    assert isinstance(found, o.FoundInteraction)
    assert found.step == "done"


async def test_beginning_again_does_not_begin_anew(store: Store) -> None:
    login = await Login().begin(store)
    await login.start(store, new_challenge(new_phone()))

    await at_once(login.begin(store) for _ in range(10))

    found = await login.read(store)
    assert isinstance(found, o.FoundInteraction)
    assert found.step == "code"


async def test_a_login_is_expired_in_the_second_of_its_expiry_and_keeps_its_request(
    store: Store,
) -> None:
    login = await Login().begin(store)
    late = NOW + LIFETIMES.interaction

    assert isinstance(await login.read(store, late - 1), o.FoundInteraction)
    assert await login.read(store, late) == o.Expired(login.request)
    assert await login.start(store, new_challenge(new_phone()), late) == o.Expired(login.request)
    assert await login.cancel(store, late) == o.Expired(login.request)


async def test_a_login_belongs_to_the_browser_that_began_it(store: Store) -> None:
    login = await Login().begin(store)
    stranger = replace(login, browser=new("browser"))

    assert await stranger.read(store) == await stranger.cancel(store) == o.OtherBrowser()
    assert isinstance(await login.read(store), o.FoundInteraction)


async def test_a_login_that_never_began_is_unknown(store: Store) -> None:
    assert await Login().read(store) == await Login().cancel(store) == o.Unknown()


async def test_a_cancelled_login_goes_nowhere(store: Store) -> None:
    login = await Login().begin(store)
    await login.start(store, new_challenge(phone := new_phone()))

    assert await login.cancel(store) == await login.cancel(store) == o.Cancelled(login.request)
    assert await login.enter(store, RIGHT) == o.Unknown()
    assert await login.start(store, new_challenge(phone)) == o.Unknown()
    assert await login.register(store) == o.Unknown()


async def test_cancelling_after_the_sign_in_changes_nothing(store: Store) -> None:
    customer, login = await open_grant(store), Login()
    signed_in = await login.prove(store, customer.phone)

    await login.cancel(store)

    assert await login.enter(store, RIGHT) == signed_in


async def test_a_stored_request_is_read_as_often_as_the_browser_asks(store: Store) -> None:
    request_id, parameters = new("request"), {"client_id": "app", "state": "ü"}
    await store.authorization_request_store(
        request_id, parameters, expires_at=NOW + 60, limit=room(), now=NOW
    )

    for _ in range(2):
        found = await store.authorization_request_read(request_id, now=NOW + 59)
        assert found == o.FoundRequest(parameters)


async def test_a_stored_request_without_parameters_is_stored(store: Store) -> None:
    request_id = new("request")
    await store.authorization_request_store(
        request_id, {}, expires_at=NOW + 60, limit=room(), now=NOW
    )

    assert await store.authorization_request_read(request_id, now=NOW) == o.FoundRequest({})


async def test_a_stored_request_ends_in_the_second_of_its_expiry(store: Store) -> None:
    request_id = new("request")
    await store.authorization_request_store(
        request_id, {}, expires_at=NOW + 60, limit=room(), now=NOW
    )

    assert await store.authorization_request_read(request_id, now=NOW + 60) == o.Unknown()


async def test_nothing_is_begun_when_memory_runs_out(fresh_store: Store) -> None:
    large = new_request(state="s" * 10_000)
    answer: o.InteractionStart | None = None
    for _ in range(ENOUGH_TO_FILL):
        answer = await fresh_store.interaction_start(
            new("interaction"),
            browser_hash=digest("browser"),
            request=large,
            expires_at=NOW + 60,
            limit=room(),
            now=NOW,
        )
        if isinstance(answer, o.Limited):
            break

    assert answer == o.Limited(60)
    assert await fresh_store.ready(now=NOW) > 0
    journey = PhoneGrant()
    await journey.start(fresh_store, new_challenge(new_phone()))
    assert isinstance(await journey.enter(fresh_store, RIGHT), o.Redeemed)
