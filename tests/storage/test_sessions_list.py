"""What lives, in parts: each call looks at so many sessions and no more."""

from dataclasses import replace
from typing import Any

import pytest

from storage import outcomes as o
from storage.records import By, LiveGrant, LiveSession, Place, Selection, SessionsPage
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    LIFETIMES,
    NOW,
    RIGHT,
    Code,
    Grant,
    PhoneGrant,
    issue,
    new,
    new_challenge,
    open_grant,
)

BY = By("alice@ops", "a test")
EVERYTHING = 1_000_000


async def listed(store: Store, now: int = NOW, limit: int = EVERYTHING, **selection: Any) -> Any:
    page = await store.sessions_list(Selection(**selection), limit=limit, now=now)
    return {session.sid: session for session in page.sessions}


async def held_by(
    store: Store, client_id: str, session: Grant, *, offline: bool, now: int = NOW
) -> Grant:
    code = Code(client_id=client_id)
    await issue(store, code, session, client_id=client_id, offline=offline, now=now)
    await code.redeem(store, now=now)
    return replace(session, grant_id=code.grant_id, token=code.token)


async def test_a_session_is_shown_with_what_hangs_on_it(store: Store) -> None:
    grant = await open_grant(store)
    await held_by(store, "other", grant, offline=True, now=NOW + 100)

    shown = (await listed(store, NOW + 100, sub=grant.sub))[grant.sid]

    ends = NOW + LIFETIMES.refresh_absolute
    assert shown == LiveSession(
        sid=grant.sid,
        sub=grant.sub,
        phone=grant.phone,
        created_at=NOW,
        seen_at=NOW + 100,
        expires_at=NOW + 100 + LIFETIMES.session_idle,
        grants=(
            LiveGrant(CLIENT, offline=False, expires_at=ends),
            LiveGrant("other", offline=True, expires_at=ends + 100),
        ),
    )


async def test_offline_access_is_shown_when_its_session_is_over(store: Store) -> None:
    grant = await open_grant(store, offline=True)
    await grant.end_session(store)

    shown = (await listed(store, sub=grant.sub))[grant.sid]

    assert (shown.expires_at, shown.seen_at, shown.created_at) == (None, None, NOW)
    assert [each.offline for each in shown.grants] == [True]


async def test_a_session_without_grants_is_shown(store: Store) -> None:
    grant = await open_grant(store)
    await store.grant_withdraw(grant.grant_id, by=BY, now=NOW)

    assert (await listed(store, sub=grant.sub))[grant.sid].grants == ()


@pytest.mark.parametrize("how", ["expired", "revoked", "signed out"])
async def test_what_is_over_is_not_shown(store: Store, how: str) -> None:
    grant, now = await open_grant(store), NOW
    match how:
        case "expired":
            now += LIFETIMES.session_idle
        case "revoked":
            await store.sessions_revoke(
                "customer",
                grant.sub,
                revocation_id=new("id"),
                by=By("alice@ops", "a test"),
                now=NOW,
            )
        case _:
            await grant.end_session(store)

    assert await listed(store, now, sub=grant.sub) == {}


async def test_a_customers_own_are_shown_and_no_others(store: Store) -> None:
    phone = (await open_grant(store)).phone
    own = [await open_grant(store, phone=phone) for _ in range(3)]
    await open_grant(store)

    shown = await listed(store, sub=own[0].sub)

    assert {session.sub for session in shown.values()} == {own[0].sub}
    assert {grant.sid for grant in own} < shown.keys()
    assert await listed(store, sub="nobody") == {}


async def test_a_clients_own_are_shown(store: Store) -> None:
    client_id = new("client")
    one, other = await open_grant(store), await open_grant(store)
    await held_by(store, client_id, one, offline=False)
    bot = PhoneGrant(client_id=client_id)
    await bot.start(store, new_challenge(other.phone))
    redeemed = await bot.enter(store, RIGHT)
    assert isinstance(redeemed, o.Redeemed)

    shown = await listed(store, client_id=client_id)

    assert shown.keys() == {one.sid, redeemed.sid}


@pytest.mark.parametrize(
    ("window", "shown"),
    [
        ({"since": NOW + 1}, [False, True]),
        ({"before": NOW + 1}, [True, False]),
        ({"since": NOW, "before": NOW + 2}, [True, True]),
    ],
)
async def test_a_time_selects_what_revoking_it_would_end(
    store: Store, window: dict[str, int], shown: list[bool]
) -> None:
    phone = (await open_grant(store, now=NOW - 100)).phone
    grants = [await open_grant(store, phone=phone, now=at) for at in (NOW, NOW + 1)]

    found = await listed(store, NOW + 1, sub=grants[0].sub, **window)

    assert [grant.sid in found for grant in grants] == shown


async def test_a_younger_grant_is_found_under_an_older_session(store: Store) -> None:
    client_id, session = new("client"), await open_grant(store)
    await held_by(store, client_id, session, offline=False, now=NOW + 50)

    assert session.sid in await listed(store, NOW + 50, sub=session.sub, since=NOW + 50)
    found = await listed(store, NOW + 50, client_id=client_id, since=NOW + 51)
    assert found == {}


async def test_the_parts_of_a_list_are_the_list(fresh_store: Store) -> None:
    phone = None
    for number in range(40):
        grant = await open_grant(fresh_store, phone=phone, offline=number % 3 == 0)
        phone = grant.phone if number % 4 else None
        if number % 6 == 0:
            await grant.end_session(fresh_store)
    whole = await fresh_store.sessions_list(Selection(), limit=EVERYTHING, now=NOW)
    assert whole.after is None
    assert len(whole.sessions) == 40

    parts: list[LiveSession] = []
    after: Place | None = None
    while True:
        page: SessionsPage = await fresh_store.sessions_list(
            Selection(), after=after, limit=7, now=NOW
        )
        assert len(page.sessions) <= 7
        parts += page.sessions
        after = page.after
        if after is None:
            break

    assert parts == list(whole.sessions)
    places = [(session.sub, session.sid) for session in parts]
    assert places == sorted(set(places))


async def test_a_call_looks_at_no_more_than_its_limit_where_nothing_is_found(
    fresh_store: Store,
) -> None:
    for _ in range(10):
        await open_grant(fresh_store)

    page = await fresh_store.sessions_list(Selection(client_id="none"), limit=4, now=NOW)

    assert page.sessions == ()
    assert page.after is not None
