"""What was answered to a partner is remembered: nobody is asked twice, or granted more."""

from storage import outcomes as o
from storage.store import Store
from tests.storage.builders import (
    MANY,
    NOW,
    Code,
    Login,
    Owner,
    at_once,
    digest,
    kinds,
    new,
    open_grant,
    room,
)
from tests.storage.consenting import (
    SCOPE,
    Asked,
    asked,
    consents_of,
    partner_request,
    sso,
)


async def test_a_session_without_consent_gets_no_code(store: Store, owner: Owner) -> None:
    session, rows = await open_grant(store), await owner.count("grant")

    assert await sso(store, session, partner_request(new("partner"))) == o.ConsentMissing()

    assert await owner.count("grant") == rows


async def test_what_was_allowed_once_is_granted_without_asking(store: Store) -> None:
    customer = await asked(store)
    await customer.allows(store)
    code = Code(client_id=customer.client_id)

    request = partner_request(customer.client_id)
    answers = await at_once(sso(store, customer, request, code) for _ in range(MANY))

    assert kinds(answers) == {o.Issued: MANY}
    redeemed = await code.redeem(store)
    assert isinstance(redeemed, o.Redeemed)
    assert (redeemed.scope, redeemed.refresh) == (SCOPE, True)


async def test_the_next_sign_in_does_not_ask_again(store: Store) -> None:
    customer = await open_grant(store)
    first = await asked(store, customer)
    await first.allows(store)

    again = Login(request=partner_request(first.client_id))

    assert isinstance(await again.prove(store, customer.phone), o.SignedIn)


async def test_who_is_asked_for_more_is_asked_again(store: Store) -> None:
    customer = await asked(store, request=partner_request(client_id := new("p"), "openid profile"))
    await customer.allows(store)

    fewer = partner_request(client_id, "openid")
    more = partner_request(client_id, "openid profile phone")
    assert await sso(store, customer, fewer) == o.Issued()
    assert await sso(store, customer, more) == o.ConsentMissing()


async def test_what_was_declined_is_neither_granted_nor_asked_for_again(store: Store) -> None:
    customer = await asked(store)
    await customer.allows(store, "openid profile")
    code = Code(client_id=customer.client_id)

    assert await sso(store, customer, partner_request(customer.client_id), code) == o.Issued()

    redeemed = await code.redeem(store)
    assert isinstance(redeemed, o.Redeemed)
    assert (redeemed.scope, redeemed.refresh) == ("openid profile", False)


async def test_a_client_may_wish_that_the_customer_is_asked(store: Store) -> None:
    customer = await open_grant(store)
    first = await asked(store, customer)
    await first.allows(store, "openid profile offline_access")

    request = partner_request(first.client_id, always=True)
    assert await sso(store, first, request) == o.ConsentMissing()
    again = await asked(store, customer, request=request)

    found = await again.login.read(store)
    assert isinstance(found, o.FoundInteraction)
    assert found.declined == "phone"


async def test_a_login_may_begin_at_the_consent_of_a_session(store: Store) -> None:
    session = await open_grant(store)
    login = Login(request=partner_request(new("partner")))

    async def begin(sid: str = session.sid) -> o.InteractionStart:
        return await store.interaction_start(
            login.interaction_id,
            browser_hash=digest(login.browser),
            request=login.request,
            expires_at=NOW + 60,
            limit=room(),
            now=NOW,
            sid=sid,
        )

    assert await begin("ended") == o.SessionEnded()
    assert [await begin(), await begin()] == [o.InteractionStarted()] * 2
    asked_there = Asked(login, login.request["client_id"], session.sub, session.sid)
    signed_in = await asked_there.decides(store)
    assert signed_in == o.SignedIn(session.sub, session.sid, login.request)
    assert (await asked_there.redeems(store)).scope == SCOPE


async def test_what_was_not_asked_for_stays_as_it_was_answered(store: Store) -> None:
    customer = await open_grant(store)
    first = await asked(
        store, customer, request=partner_request(client_id := new("p"), "openid profile email")
    )
    grant = await first.allows(store, "openid profile")
    second = await asked(
        store, customer, client_id, request=partner_request(client_id, "openid phone")
    )

    await second.allows(store, "openid phone")

    assert await consents_of(store, customer) == {client_id: "openid phone profile"}
    assert await grant.alive(store)
    everything = partner_request(client_id, "openid phone profile email")
    assert await sso(store, customer, everything) == o.Issued()


async def test_a_consent_remembers_since_when(store: Store) -> None:
    customer = await open_grant(store)
    first = await asked(store, customer)
    await first.allows(store, "openid profile")
    request = partner_request(first.client_id, always=True)
    await (await asked(store, customer, request=request, now=NOW + 60)).allows(store, now=NOW + 60)

    answer = await store.consents_list(customer.sid, now=NOW + 60)

    assert isinstance(answer, o.FoundConsents)
    (consent,) = answer.consents
    assert (consent.granted_at, consent.updated_at) == (NOW, NOW + 60)


async def test_what_is_taken_back_ends_with_the_grants_that_hold_it(store: Store) -> None:
    customer = await open_grant(store)
    first = await asked(store, customer)
    broad = await first.allows(store)
    second = await asked(
        store, customer, first.client_id, request=partner_request(first.client_id, always=True)
    )

    narrow = await second.allows(store, "openid profile offline_access")

    assert not await broad.alive(store)
    assert await broad.rotate(store, broad.token, client_id=first.client_id) == o.Unknown()
    assert await narrow.alive(store)
