"""One write ends all that a customer, a client or everybody has had until now."""

import json
from dataclasses import replace
from typing import Any, Literal

import pytest

from storage import outcomes as o
from storage.records import By, ClientRow
from storage.store import Store
from tests.storage.builders import (
    LIFETIMES,
    NOW,
    Code,
    Grant,
    Login,
    Owner,
    at_once,
    is_alive,
    issue,
    issue_code,
    new,
    new_sign_in,
    open_grant,
)

BY = By("alice@ops", "an intrusion")
TARGETS: tuple[Literal["customer", "client", "everybody"], ...] = (
    "customer",
    "client",
    "everybody",
)


@pytest.fixture
async def client_id(store: Store) -> str:
    """A client of the test's own."""
    client = ClientRow(new("client"), "", "{}", "operator")
    await store.client_create(client, revocation_id=new("revocation"), by=BY, now=NOW)
    return client.client_id


async def held_by(
    store: Store, client_id: str, session: Grant, *, offline: bool = False, now: int = NOW
) -> Grant:
    """A grant of one client under a session."""
    code = Code(client_id=client_id)
    await issue(store, code, session, client_id=client_id, offline=offline, now=now)
    assert isinstance(await code.redeem(store, now=now), o.Redeemed)
    return replace(session, grant_id=code.grant_id, token=code.token)


async def revoke(
    store: Store,
    target: Literal["customer", "client", "everybody"],
    target_id: str = "",
    now: int = NOW,
    **window: Any,
) -> o.SessionsRevoke:
    return await store.sessions_revoke(
        target, target_id, revocation_id=new("revocation"), by=BY, now=now, **window
    )


async def has_session(store: Store, grant: Grant, now: int = NOW) -> bool:
    return isinstance(await store.session_read(grant.sid, now=now), o.FoundSession)


# Whose


async def test_a_customer_is_out_everywhere_offline_access_included(store: Store) -> None:
    grant = await open_grant(store)
    tablet = await open_grant(store, phone=grant.phone, offline=True)
    code = await issue_code(store, grant)
    other = await open_grant(store)

    assert await revoke(store, "customer", grant.sub) == o.Revoked()

    assert not await has_session(store, grant)
    assert not await has_session(store, tablet)
    assert await grant.rotate(store, grant.token) == o.Unknown()
    assert await tablet.rotate(store, tablet.token) == o.Unknown()
    assert await code.redeem(store) == o.Unknown()
    assert await has_session(store, other)
    assert await other.alive(store)


async def test_a_client_loses_its_grants_and_nobody_else_does(store: Store, client_id: str) -> None:
    session = await open_grant(store)
    online, offline = [
        await held_by(store, client_id, session, offline=offline) for offline in (False, True)
    ]
    code = Code(client_id=client_id)
    await issue(store, code, session, client_id=client_id)

    assert await revoke(store, "client", client_id) == o.Revoked()

    assert not await online.alive(store)
    assert await offline.rotate(store, offline.token, client_id=client_id) == o.Unknown()
    assert await code.redeem(store) == o.Unknown()
    assert await session.alive(store)
    assert await has_session(store, session)


async def test_everybody_is_out(store: Store) -> None:
    grants = [await open_grant(store, offline=number % 2 == 0) for number in range(20)]

    assert await revoke(store, "everybody") == o.Revoked()

    assert not any(await at_once(grant.alive(store) for grant in grants))
    assert not any(await at_once(has_session(store, grant) for grant in grants))


@pytest.mark.parametrize("target", TARGETS)
async def test_what_begins_in_the_same_second_afterwards_lives(
    store: Store, client_id: str, target: Literal["customer", "client", "everybody"]
) -> None:
    session = await open_grant(store)
    old = await held_by(store, client_id, session, offline=True)
    target_id = {"customer": session.sub, "client": client_id, "everybody": ""}[target]
    await revoke(store, target, target_id)

    again = await open_grant(store, phone=session.phone)
    new_grant = await held_by(store, client_id, again, offline=True)

    assert not await old.alive(store)
    assert await again.alive(store)
    assert isinstance(
        await new_grant.rotate(store, new_grant.token, client_id=client_id), o.Rotated
    )


async def test_a_revoked_session_does_not_go_on_at_the_next_sign_in(store: Store) -> None:
    old = await open_grant(store)
    await revoke(store, "customer", old.sub)

    login = Login(sign_in=new_sign_in(current_sid=old.sid))
    answer = await login.prove(store, old.phone)

    assert isinstance(answer, o.SignedIn)
    assert answer.sid == login.sign_in.new_sid


async def test_a_sign_in_that_a_revocation_overtakes_is_not_repeated(store: Store) -> None:
    customer, login = await open_grant(store), Login()
    await login.prove(store, customer.phone)
    await revoke(store, "customer", customer.sub)

    assert await login.enter(store, "123456") == o.Completed(login.request)


async def test_a_revocation_stays_when_all_else_is_swept(store: Store) -> None:
    grant = await open_grant(store, offline=True)
    await revoke(store, "customer", grant.sub)

    await store.sweep(limit=1_000_000, now=NOW + LIFETIMES.refresh_idle - 1)

    assert not await grant.alive(store)


async def test_nobody_and_no_client_are_told_so(store: Store) -> None:
    assert await revoke(store, "customer", "nobody") == o.Unknown()
    assert await revoke(store, "client", "nothing") == o.Unknown()


# Of what time


@pytest.mark.parametrize(
    ("window", "ended"),
    [
        ({"since": NOW + 10}, [False, True, True]),
        ({"since": NOW + 11}, [False, False, True]),
        ({"before": NOW + 10}, [True, False, False]),
        ({"before": NOW + 11}, [True, True, False]),
        ({"since": NOW + 10, "before": NOW + 11}, [False, True, False]),
    ],
)
@pytest.mark.parametrize("target", TARGETS)
async def test_only_what_began_in_that_time_ends(
    store: Store,
    client_id: str,
    target: Literal["customer", "client", "everybody"],
    window: dict[str, int],
    ended: list[bool],
) -> None:
    first = await open_grant(store)
    sessions = [first] + [
        await open_grant(store, phone=first.phone, now=at) for at in (NOW + 10, NOW + 20)
    ]
    grants = [
        await held_by(store, client_id, session, offline=True, now=at)
        for session, at in zip(sessions, (NOW, NOW + 10, NOW + 20), strict=True)
    ]
    target_id = {"customer": first.sub, "client": client_id, "everybody": ""}[target]

    await revoke(store, target, target_id, NOW + 20, **window)

    later = NOW + 21
    assert [not await grant.alive(store, later) for grant in grants] == ended
    if target != "client":
        assert [not await has_session(store, session, later) for session in sessions] == ended


async def test_times_add_up(store: Store) -> None:
    phone = (await open_grant(store)).phone
    grants = [await open_grant(store, phone=phone, now=NOW + number) for number in range(5)]
    sub = grants[0].sub

    await revoke(store, "customer", sub, since=NOW + 3, before=NOW + 4)
    await revoke(store, "customer", sub, since=NOW + 1, before=NOW + 2)

    alive = [await grant.alive(store, NOW + 5) for grant in grants]
    assert alive == [True, False, True, False, True]


async def test_a_time_says_nothing_of_what_begins_later(store: Store) -> None:
    old = await open_grant(store)
    await revoke(store, "customer", old.sub, since=NOW)

    fresh = await open_grant(store, phone=old.phone)

    assert await fresh.alive(store)


async def test_a_revocation_takes_the_place_of_those_that_it_contains(
    store: Store, owner: Owner
) -> None:
    sub = (await open_grant(store)).sub
    count = "return #box.space.revocation.index.target:select({ 'customer', ... })"
    await revoke(store, "customer", sub, since=NOW, before=NOW + 5)
    await revoke(store, "customer", sub, since=NOW + 1)
    assert await owner.eval(count, sub) == 2

    await revoke(store, "customer", sub, since=NOW)
    assert await owner.eval(count, sub) == 1

    await revoke(store, "customer", sub, before=NOW + 5)
    assert await owner.eval(count, sub) == 2

    await revoke(store, "customer", sub)
    assert await owner.eval(count, sub) == 1


# Again


async def test_the_same_revocation_again_ends_nothing_more_and_is_told_once(
    store: Store, owner: Owner
) -> None:
    old, revocation_id = await open_grant(store), new("revocation")

    async def the_same() -> o.SessionsRevoke:
        return await store.sessions_revoke(
            "customer", old.sub, revocation_id=revocation_id, by=BY, now=NOW
        )

    await the_same()
    fresh = await open_grant(store, phone=old.phone)

    assert await at_once(the_same() for _ in range(10)) == [o.Revoked()] * 10
    assert await fresh.alive(store)
    assert await owner.events("sessions_revoked", old.sub) == 1


async def test_the_trail_says_who_ended_what_and_why(store: Store, owner: Owner) -> None:
    grant = await open_grant(store)
    await revoke(store, "customer", grant.sub, since=NOW, before=NOW + 1)

    (event,) = [
        event
        for event in await store.audit_read(after=await last_seq(owner) - 1)
        if event.event == "sessions_revoked"
    ]

    assert (event.sub, event.by, event.reason) == (grant.sub, "alice@ops", "an intrusion")
    assert json.loads(event.detail or "") == {"since": NOW, "before": NOW + 1}


async def last_seq(owner: Owner) -> int:
    return int(await owner.eval("return box.space.audit.index.primary:max().seq"))


# Single tokens and grants


async def test_an_operator_takes_one_access_token_back(store: Store, owner: Owner) -> None:
    grant, jti = await open_grant(store), new("jti")

    async def withdraw() -> o.TokenWithdraw:
        return await store.access_token_withdraw(grant_id=grant.grant_id, jti=jti, by=BY, now=NOW)

    assert await at_once(withdraw() for _ in range(10)) == [o.Revoked()] * 10

    async def read(which: str, now: int = NOW) -> o.AccessTokenRead:
        return await store.access_token_read(grant_id=grant.grant_id, jti=which, now=now)

    assert await read(jti) == o.Inactive()
    assert isinstance(await read(new("jti")), o.Active)
    assert await owner.events("access_token_revoked", grant.sub) == 1


async def test_an_access_token_stays_taken_back_as_long_as_its_grant_lives(store: Store) -> None:
    grant, jti = await open_grant(store, offline=True), new("jti")
    await store.access_token_withdraw(grant_id=grant.grant_id, jti=jti, by=BY, now=NOW)
    rotated = await grant.rotate(store, grant.token, now=NOW + LIFETIMES.refresh_idle - 1)
    assert isinstance(rotated, o.Rotated)
    late = NOW + LIFETIMES.refresh_idle

    await store.sweep(limit=1_000_000, now=late)

    assert await grant.alive(store, late)
    answer = await store.access_token_read(grant_id=grant.grant_id, jti=jti, now=late)
    assert answer == o.Inactive()


async def test_an_operator_ends_one_grant(store: Store, owner: Owner) -> None:
    grant, offline = await open_grant(store), await open_grant(store, offline=True)

    for each in (grant, offline):
        assert await store.grant_withdraw(each.grant_id, by=BY, now=NOW) == o.Revoked()
        assert await store.grant_withdraw(each.grant_id, by=BY, now=NOW) == o.Unknown()
        assert not await is_alive(store, each.grant_id)
        assert await each.rotate(store, each.token) == o.Unknown()
        assert await owner.events("grant_revoked", each.sub) == 1
    assert await has_session(store, grant)


async def test_no_token_of_no_grant_is_taken_back(store: Store) -> None:
    assert await store.grant_withdraw("none", by=BY, now=NOW) == o.Unknown()
    answer = await store.access_token_withdraw(grant_id="none", jti="none.1", by=BY, now=NOW)
    assert answer == o.Unknown()
