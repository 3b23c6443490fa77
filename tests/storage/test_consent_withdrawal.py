"""A customer takes back what a partner was allowed, and all of it is over at once."""

import json
from dataclasses import replace
from typing import Any

from storage import outcomes as o
from storage.store import Store
from tests.storage.builders import (
    MANY,
    NOW,
    Code,
    Owner,
    at_once,
    kinds,
    new,
    open_grant,
)
from tests.storage.consenting import (
    SCOPE,
    asked,
    consents_of,
    partner_request,
    sso,
    withdraw,
)


async def test_a_withdrawal_ends_exactly_this_customers_grants_of_this_client(
    store: Store,
) -> None:
    customer, neighbour = await open_grant(store), await open_grant(store)
    client_id, other_client = new("partner"), new("partner")
    phone = await (mine := await asked(store, customer, client_id)).allows(store)
    pending, redeemed = Code(client_id=client_id), Code(client_id=client_id)
    for code in (pending, redeemed):
        await sso(store, mine, partner_request(client_id), code)
    await redeemed.redeem(store)
    tablet = replace(phone, grant_id=redeemed.grant_id, token=redeemed.token)
    others = [
        await (await asked(store, customer, other_client)).allows(store),
        await (await asked(store, neighbour, client_id)).allows(store),
        customer,
    ]

    assert await withdraw(store, customer, client_id) == o.Withdrawn()

    for grant in (phone, tablet):
        assert not await grant.alive(store)
        assert await grant.rotate(store, grant.token, client_id=client_id) == o.Unknown()
    assert await pending.redeem(store) == o.Unknown()
    assert [await grant.alive(store) for grant in others] == [True] * 3
    assert await consents_of(store, customer) == {other_client: SCOPE}
    assert isinstance(await store.session_read(mine.sid, now=NOW), o.FoundSession)
    assert await sso(store, mine, partner_request(client_id)) == o.ConsentMissing()


async def test_the_same_withdrawal_again_ends_nothing_that_was_allowed_since(
    store: Store, owner: Owner
) -> None:
    customer = await open_grant(store)
    first = await asked(store, customer)
    old = await first.allows(store)
    answer = await store.consents_list(first.sid, now=NOW)
    assert isinstance(answer, o.FoundConsents)
    consent_id = answer.consents[0].consent_id

    async def the_same() -> o.ConsentWithdraw:
        return await store.consent_withdraw(
            customer.sid, client_id=first.client_id, consent_id=consent_id, now=NOW
        )

    assert await at_once(the_same() for _ in range(MANY)) == [o.Withdrawn()] * MANY
    fresh = await (await asked(store, customer, first.client_id)).allows(store)

    assert await the_same() == o.Withdrawn()
    assert (await old.alive(store), await fresh.alive(store)) == (False, True)
    assert await owner.events("consent_withdrawn", customer.sub) == 1


async def test_a_grant_that_a_withdrawal_overtakes_is_over(store: Store) -> None:
    customer = await asked(store)
    await customer.decides(store)
    await withdraw(store, customer, customer.client_id)

    assert await customer.code.redeem(store) == o.Unknown()


async def test_sign_ins_and_withdrawals_race_and_no_grant_outlives_its_consent(
    store: Store, other_store: Store
) -> None:
    customer = await asked(store)
    await customer.allows(store)
    codes = [Code(client_id=customer.client_id) for _ in range(MANY)]
    request = partner_request(customer.client_id)
    answer = await store.consents_list(customer.sid, now=NOW)
    assert isinstance(answer, o.FoundConsents)
    consent_id = answer.consents[0].consent_id
    calls: list[Any] = [sso(store, customer, request, code) for code in codes]
    calls.insert(
        MANY // 2,
        other_store.consent_withdraw(
            customer.sid, client_id=customer.client_id, consent_id=consent_id, now=NOW
        ),
    )

    answers = await at_once(calls)

    assert set(kinds(answers)) <= {o.Issued, o.ConsentMissing, o.Withdrawn}
    assert set(kinds(await at_once(code.redeem(store) for code in codes))) == {o.Unknown}


async def test_without_a_session_nothing_is_shown_nor_withdrawn(store: Store) -> None:
    customer = await asked(store)
    grant = await customer.allows(store)
    await store.session_end(customer.sid, client_id=None, now=NOW)

    assert await store.consents_list(customer.sid, now=NOW) == o.Unknown()
    answer = await store.consent_withdraw(
        customer.sid, client_id=customer.client_id, consent_id=grant.grant_id, now=NOW
    )
    assert answer == o.Unknown()
    assert await grant.alive(store)


async def test_the_trail_says_what_was_allowed_declined_and_withdrawn(store: Store) -> None:
    customer = await asked(store)
    seen = max(event.seq for event in await store.audit_read(limit=1_000_000))
    await customer.decides(store, "openid phone")
    await withdraw(store, customer, customer.client_id)

    events = await store.audit_read(after=seen)

    assert [(it.event, it.sub, it.client_id) for it in events] == [
        ("consent_granted", customer.sub, customer.client_id),
        ("consent_withdrawn", customer.sub, customer.client_id),
    ]
    details = [json.loads(it.detail or "") for it in events]
    assert details == [
        {"scope": "openid phone", "declined": "profile offline_access"},
        {"scope": "openid phone"},
    ]
