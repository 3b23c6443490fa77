"""Sessions: whose they are, how long they last, and what ends with them."""

from dataclasses import replace

import pytest

from storage import outcomes as o
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    LIFETIMES,
    MANY,
    NOW,
    RIGHT,
    Code,
    Login,
    Owner,
    PhoneGrant,
    at_once,
    is_alive,
    issue,
    issue_code,
    new_challenge,
    new_phone,
    new_sign_in,
    open_grant,
)

IDLE = LIFETIMES.session_idle
MOST = 100


async def sign_in_again(store: Store, phone: str, current_sid: str | None, now: int) -> o.SignedIn:
    login = Login(sign_in=new_sign_in(current_sid=current_sid, acr="phone+", amr="otp tel"))
    answer = await login.prove(store, phone, now)
    assert isinstance(answer, o.SignedIn)
    return answer


async def test_a_sign_in_opens_a_session(store: Store) -> None:
    customer = await open_grant(store)

    found = await store.session_read(customer.sid, now=NOW)

    assert found == o.FoundSession(customer.sid, customer.sub, auth_time=NOW, acr="phone")


async def test_a_session_ends_in_the_second_of_its_idle_end(store: Store) -> None:
    session = await open_grant(store)

    assert isinstance(await store.session_read(session.sid, now=NOW + IDLE - 1), o.FoundSession)
    assert await store.session_read(session.sid, now=NOW + IDLE) == o.Unknown()


async def test_a_client_that_comes_again_and_again_loses_its_oldest_grant(store: Store) -> None:
    session = await open_grant(store)
    grants = []
    for _ in range(MOST):
        code = Code()
        await issue(store, code, session, now=NOW + 1)
        await code.redeem(store, now=NOW + 1)
        grants.append(code.grant_id)

    assert not await is_alive(store, session.grant_id)
    assert all([await is_alive(store, grant_id) for grant_id in grants])


async def test_one_client_leaves_and_the_session_stays_for_the_others(store: Store) -> None:
    session = await open_grant(store)
    other = await issue_code(store, session, client_id="other")
    await store.session_leave(session.sid, client_id=CLIENT, now=NOW)

    assert not await is_alive(store, session.grant_id)
    assert await is_alive(store, other.grant_id)

    await store.session_leave(session.sid, client_id="other", now=NOW)
    assert await store.session_read(session.sid, now=NOW) == o.Unknown()


async def test_a_session_that_never_was_is_unknown(store: Store) -> None:
    assert await store.session_read("none", now=NOW) == o.Unknown()


async def test_the_next_sign_in_of_the_same_browser_goes_on_with_its_session(store: Store) -> None:
    session = await open_grant(store)

    again = await sign_in_again(store, session.phone, session.sid, NOW + 100)

    assert again.sid == session.sid
    assert await store.session_read(session.sid, now=NOW + 100) == o.FoundSession(
        session.sid, session.sub, auth_time=NOW + 100, acr="phone+"
    )
    assert await session.alive(store, NOW + 100)


async def test_another_customers_session_ends_when_one_signs_in_over_it(store: Store) -> None:
    one, other = await open_grant(store), await open_grant(store)

    signed_in = await sign_in_again(store, other.phone, one.sid, NOW)

    assert signed_in.sid != one.sid
    assert await store.session_read(one.sid, now=NOW) == o.Unknown()
    assert not await one.alive(store)
    assert await other.alive(store)


async def test_an_expired_session_does_not_go_on(store: Store) -> None:
    session = await open_grant(store)

    again = await sign_in_again(store, session.phone, session.sid, NOW + IDLE)

    assert again.sid != session.sid


async def test_single_sign_on_keeps_a_session_from_being_idle(store: Store) -> None:
    session, used = await open_grant(store), NOW + IDLE - 1
    await issue(store, Code(), session, now=used)

    last = used + IDLE - 1

    assert isinstance(await store.session_read(session.sid, now=last), o.FoundSession)
    assert await store.session_read(session.sid, now=last + 1) == o.Unknown()


@pytest.mark.parametrize("how", ["single sign-on", "refresh", "sign-in"])
async def test_no_session_outlives_its_absolute_end(store: Store, how: str) -> None:
    lifetimes = replace(LIFETIMES, session_idle=100, session_absolute=150)
    session = await open_grant(store, lifetimes=lifetimes)

    match how:
        case "single sign-on":
            await issue(store, Code(), session, now=NOW + 99, lifetimes=lifetimes)
        case "refresh":
            await session.rotate(store, session.token, now=NOW + 99, lifetimes=lifetimes)
        case _:
            sign_in = new_sign_in(current_sid=session.sid, lifetimes=lifetimes)
            await Login(sign_in=sign_in).prove(store, session.phone, NOW + 99)

    assert isinstance(await store.session_read(session.sid, now=NOW + 149), o.FoundSession)
    assert await store.session_read(session.sid, now=NOW + 150) == o.Unknown()


async def test_a_session_in_use_is_not_written_at_each_request(store: Store, owner: Owner) -> None:
    session = await open_grant(store)
    seen_at = "return box.space.session:get(...).seen_at"

    await issue(store, Code(), session, now=NOW + 59)
    assert await owner.eval(seen_at, session.sid) == NOW

    await issue(store, Code(), session, now=NOW + 60)
    assert await owner.eval(seen_at, session.sid) == NOW + 60


async def test_an_ended_session_ends_all_its_grants_but_offline_access(store: Store) -> None:
    session = await open_grant(store)
    online, offline = (
        await issue_code(store, session),
        await issue_code(store, session, offline=True),
    )
    await at_once(code.redeem(store) for code in (online, offline))

    await session.end_session(store)

    assert await store.session_read(session.sid, now=NOW) == o.Unknown()
    assert not await session.alive(store)
    assert not await is_alive(store, online.grant_id)
    assert await is_alive(store, offline.grant_id)


async def test_an_ended_session_leaves_the_customers_other_sessions_alone(store: Store) -> None:
    phone = new_phone()
    telephone, tablet = [await open_grant(store, phone=phone) for _ in range(2)]

    await telephone.end_session(store)

    assert telephone.sub == tablet.sub
    assert await tablet.alive(store)


async def test_ending_a_session_again_ends_it_once(store: Store, owner: Owner) -> None:
    session = await open_grant(store)

    await at_once(session.end_session(store) for _ in range(MANY))

    assert await owner.events("signed_out", session.sub) == 1


async def test_a_logout_racing_with_single_sign_on_leaves_no_live_code(store: Store) -> None:
    session = await open_grant(store)
    codes = [Code() for _ in range(MANY)]
    issuing = [issue(store, code, session) for code in codes]

    await at_once([*issuing[:100], session.end_session(store), *issuing[100:]])

    assert await at_once(code.redeem(store) for code in codes) == [o.Unknown()] * MANY


async def test_a_sign_in_by_the_phone_grant_goes_on_with_its_session(store: Store) -> None:
    first = await open_grant(store)
    journey = PhoneGrant(sign_in=new_sign_in(current_sid=first.sid))
    await journey.start(store, new_challenge(first.phone))

    second = await journey.enter(store, RIGHT)

    assert isinstance(second, o.Redeemed)
    assert second.sid == first.sid
    assert await first.alive(store)
