"""A blocked customer: out at once, turned away once the phone is proven, and later in anew."""

import asyncio
from typing import Any

import pytest

from storage import outcomes as o
from storage.records import Block, By
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    MANY,
    NOW,
    RIGHT,
    WRONG,
    Code,
    Grant,
    Login,
    Owner,
    PhoneGrant,
    at_once,
    is_alive,
    issue,
    issue_code,
    new,
    new_challenge,
    new_phone,
    new_request,
    open_grant,
    successor,
)

BY = By("alice@ops", "a stolen phone")


async def block(store: Store, sub: str, now: int = NOW, by: By = BY) -> o.CustomerBlock:
    return await store.customer_block(sub, revocation_id=new("revocation"), by=by, now=now)


async def unblock(store: Store, sub: str, now: int = NOW) -> o.CustomerUnblock:
    return await store.customer_unblock(sub, by=By("bob@ops", "it was found"), now=now)


async def event(owner: Owner, name: str, sub: str) -> dict[str, Any]:
    lua = """
        local name, sub = ...
        for _, row in box.space.audit.index.primary:pairs(nil, { iterator = 'REQ' }) do
            if row.event == name and row.sub == sub then
                return { by = row.by, reason = row.reason, client_id = row.client_id }
            end
        end
    """
    found: dict[str, Any] = await owner.eval(lua, name, sub)
    return found


# What ends


@pytest.mark.parametrize("offline", [False, True])
async def test_all_that_a_blocked_customer_has_is_over_at_once(
    store: Store, *, offline: bool
) -> None:
    grant = await open_grant(store, offline=offline)
    unused = await issue_code(store, grant)

    assert await block(store, grant.sub) == o.Blocked()

    assert not await grant.alive(store)
    assert await grant.rotate(store, grant.token) == o.Unknown()
    assert await unused.redeem(store) == o.Unknown()
    assert await store.session_read(grant.sid, now=NOW) == o.Unknown()
    assert await issue(store, Code(), grant) == o.SessionEnded()


async def test_every_device_of_a_blocked_customer_is_out(store: Store) -> None:
    phone = new_phone()
    devices = [await open_grant(store, phone=phone, offline=number % 2 == 0) for number in range(9)]

    await block(store, devices[0].sub)

    assert not any(await at_once(device.alive(store) for device in devices))


async def test_nothing_of_other_customers_is_touched(store: Store) -> None:
    blocked, other = await open_grant(store), await open_grant(store)

    await block(store, blocked.sub)

    assert isinstance(await other.rotate(store, other.token), o.Rotated)
    assert isinstance(await store.session_read(other.sid, now=NOW), o.FoundSession)
    assert isinstance(await (await issue_code(store, other)).redeem(store), o.Redeemed)


async def test_200_devices_that_refresh_on_and_on_are_out_when_the_block_is_acknowledged(
    store: Store, other_store: Store
) -> None:
    phone = new_phone()
    devices = [await open_grant(store, phone=phone, offline=True) for _ in range(MANY)]
    begun, blocked = asyncio.Event(), asyncio.Event()

    async def refresh_on_and_on(device: Grant) -> int:
        token, refreshed = device.token, 0
        while True:
            too_late = blocked.is_set()
            answer = await device.rotate(store, token)
            if answer == o.Unknown():
                return refreshed
            assert isinstance(answer, o.Rotated)
            assert not too_late
            token, refreshed = successor(token), refreshed + 1
            begun.set()

    async def block_meanwhile() -> int:
        await begun.wait()
        assert await block(other_store, devices[0].sub) == o.Blocked()
        blocked.set()
        return 0

    refreshing = [refresh_on_and_on(device) for device in devices]
    assert sum(await at_once([*refreshing, block_meanwhile()])) > 0


# Who is turned away


async def test_the_pages_tell_who_has_proven_the_phone_and_nobody_else(
    store: Store, owner: Owner
) -> None:
    customer, login = await open_grant(store), await Login().begin(store)
    await block(store, customer.sub)

    started = await login.start(store, new_challenge(customer.phone))
    assert isinstance(started, o.OtpStarted)
    assert await login.enter(store, WRONG) == o.Wrong(4)

    assert await login.enter(store, RIGHT) == o.CustomerBlocked()
    assert await login.enter(store, RIGHT) == o.CustomerBlocked()

    found = await login.read(store)
    assert isinstance(found, o.FoundInteraction)
    assert found.step == "blocked"
    assert await owner.events("sign_in_refused", customer.sub) == 1
    assert (await event(owner, "sign_in_refused", customer.sub))["client_id"] == CLIENT


async def test_who_was_turned_away_goes_back_to_the_client(store: Store) -> None:
    customer, login = await open_grant(store), Login()
    await block(store, customer.sub)
    await login.prove(store, customer.phone)

    assert await login.cancel(store) == o.Cancelled(login.request)


async def test_who_was_turned_away_may_give_another_phone(store: Store) -> None:
    blocked, other, login = await open_grant(store), await open_grant(store), Login()
    await block(store, blocked.sub)
    await login.prove(store, blocked.phone)

    await login.start(store, new_challenge(other.phone))
    answer = await login.enter(store, RIGHT)

    assert isinstance(answer, o.SignedIn)
    assert answer.sub == other.sub


async def test_a_block_between_phone_and_name_turns_away(store: Store) -> None:
    phone, login, bot = new_phone(), Login(), PhoneGrant()
    assert await login.prove(store, phone) == o.Unregistered(phone)
    # The same customer comes to be by the phone grant, which asks for no name.
    await bot.start(store, new_challenge(phone))
    assert isinstance(await bot.enter(store, RIGHT), o.Redeemed)
    await block(store, bot.new_sub)

    assert await login.register(store) == o.CustomerBlocked()
    assert await Login().prove(store, phone) == o.CustomerBlocked()


async def test_a_request_for_somebody_else_comes_before_the_block(store: Store) -> None:
    customer = await open_grant(store)
    login = Login(request=new_request(required_sub="somebody else"))
    await block(store, customer.sub)

    assert await login.prove(store, customer.phone) == o.OtherCustomer(login.request)


async def test_the_phone_grant_turns_away_and_so_it_does_again(store: Store, owner: Owner) -> None:
    customer, bot = await open_grant(store), PhoneGrant()
    await block(store, customer.sub)

    assert isinstance(await bot.start(store, new_challenge(customer.phone)), o.OtpStarted)
    assert await bot.enter(store, WRONG) == o.Wrong(4)

    answers = await at_once(bot.enter(store, RIGHT) for _ in range(5))

    assert answers == [o.CustomerBlocked()] * 5
    assert await owner.events("sign_in_refused", customer.sub) == 1
    assert not await is_alive(store, bot.sign_in.grant_id)


async def test_a_sign_in_that_a_block_overtakes_has_nothing(store: Store) -> None:
    customer, login = await open_grant(store), Login()
    signed_in = await login.prove(store, customer.phone)
    assert isinstance(signed_in, o.SignedIn)
    code = Code(grant_id=login.sign_in.grant_id, code=login.code)

    await block(store, customer.sub)

    assert await login.enter(store, RIGHT) == o.Completed(login.request)
    assert await code.redeem(store) == o.Unknown()


# The block itself


async def test_a_block_says_since_when_by_whom_and_why(store: Store, owner: Owner) -> None:
    customer = await open_grant(store)

    await block(store, customer.sub, NOW + 5)

    account = await store.customer_find(phone=customer.phone)
    assert account == await store.customer_find(sub=customer.sub)
    assert isinstance(account, o.Account)
    assert account.block == Block(NOW + 5, "alice@ops", "a stolen phone")
    told = await event(owner, "customer_blocked", customer.sub)
    assert told == {"by": "alice@ops", "reason": "a stolen phone"}


async def test_the_same_block_again_is_the_same_and_told_once(store: Store, owner: Owner) -> None:
    customer = await open_grant(store)

    answers = await at_once(block(store, customer.sub) for _ in range(10))

    assert answers == [o.Blocked()] * 10
    assert await owner.events("customer_blocked", customer.sub) == 1


async def test_another_block_leaves_the_first_one(store: Store, owner: Owner) -> None:
    customer = await open_grant(store)
    await block(store, customer.sub)

    again = await block(store, customer.sub, NOW + 1, By("bob@ops", "fraud"))

    assert again == o.AlreadyBlocked(Block(NOW, "alice@ops", "a stolen phone"))
    assert await owner.events("customer_blocked", customer.sub) == 1


async def test_nobody_is_not_blocked(store: Store) -> None:
    assert await block(store, "nobody") == o.Unknown()
    assert await unblock(store, "nobody") == o.Unknown()
    assert await store.customer_find(sub="nobody") == o.Unknown()
    assert await store.customer_find(phone=new_phone()) == o.Unknown()


# And its end


@pytest.mark.parametrize("offline", [False, True])
async def test_what_was_before_the_block_does_not_come_back(store: Store, *, offline: bool) -> None:
    grant = await open_grant(store, offline=offline)
    unused = await issue_code(store, grant)
    await block(store, grant.sub)

    assert await unblock(store, grant.sub) == o.Unblocked()

    assert not await grant.alive(store)
    assert await grant.rotate(store, grant.token) == o.Unknown()
    assert await unused.redeem(store) == o.Unknown()
    assert await store.session_read(grant.sid, now=NOW) == o.Unknown()
    assert await issue(store, Code(), grant) == o.SessionEnded()


async def test_a_customer_signs_in_anew_in_the_second_of_block_and_unblocking(store: Store) -> None:
    old = await open_grant(store)
    await block(store, old.sub)
    await unblock(store, old.sub)

    fresh = await open_grant(store, phone=old.phone)

    assert fresh.sub == old.sub
    assert isinstance(await fresh.rotate(store, fresh.token), o.Rotated)
    assert isinstance(await store.session_read(fresh.sid, now=NOW), o.FoundSession)
    assert not await old.alive(store)


async def test_a_lifted_block_is_remembered_as_one(store: Store, owner: Owner) -> None:
    customer = await open_grant(store)
    await block(store, customer.sub)
    await unblock(store, customer.sub, NOW + 9)

    account = await store.customer_find(sub=customer.sub)

    assert isinstance(account, o.Account)
    assert account.block == Block(NOW, "alice@ops", "a stolen phone", lifted_at=NOW + 9)
    told = await event(owner, "customer_unblocked", customer.sub)
    assert told == {"by": "bob@ops", "reason": "it was found"}


async def test_the_same_unblocking_again_is_the_same_and_told_once(
    store: Store, owner: Owner
) -> None:
    customer = await open_grant(store)
    assert await unblock(store, customer.sub) == o.NotBlocked()
    await block(store, customer.sub)

    answers = await at_once(unblock(store, customer.sub) for _ in range(10))

    assert answers == [o.Unblocked()] * 10
    assert await unblock(store, customer.sub, NOW + 1) == o.NotBlocked()
    assert await owner.events("customer_unblocked", customer.sub) == 1


async def test_a_customer_is_blocked_a_second_time(store: Store) -> None:
    customer = await open_grant(store)
    await block(store, customer.sub)
    await unblock(store, customer.sub)
    between = await open_grant(store, phone=customer.phone)

    assert await block(store, customer.sub, NOW + 1) == o.Blocked()

    assert not await between.alive(store)
    assert await Login().prove(store, customer.phone, NOW + 1) == o.CustomerBlocked()
