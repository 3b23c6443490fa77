"""The step of a login that asks for consent: decided once, in the session of whoever signed in."""

import pytest

from storage import outcomes as o
from storage.records import By
from storage.store import Store
from tests.storage.builders import (
    LIFETIMES,
    MANY,
    NOW,
    RIGHT,
    WRONG,
    Code,
    Login,
    Owner,
    at_once,
    is_alive,
    issue,
    kinds,
    new,
    new_challenge,
    new_phone,
    new_sign_in,
    open_grant,
)
from tests.storage.consenting import (
    SCOPE,
    Asked,
    asked,
    consents_of,
    partner_request,
)

CLAIMS = {
    "userinfo": {"phone_number": None, "email": {"essential": True}},
    "id_token": {"email": None, "auth_time": {"essential": True}},
}
SCOPE_OF_CLAIMS = {"phone_number": "phone", "email": "email"}
BY = By("alice@ops", "an intrusion")


async def test_signing_in_at_a_partners_request_begins_a_session_and_grants_nothing(
    store: Store, owner: Owner
) -> None:
    customer = await open_grant(store)
    rows = [await owner.count(space) for space in ("grant", "code", "consent")]

    customer_asked = await asked(store, customer)

    assert [await owner.count(space) for space in ("grant", "code", "consent")] == rows
    found = await store.session_read(customer_asked.sid, now=NOW)
    assert isinstance(found, o.FoundSession)
    assert found.sub == customer.sub
    login = customer_asked.login
    assert await login.read(store) == o.FoundInteraction(
        "consent", login.request, customer.phone, 5, NOW + 30
    )


async def test_consent_comes_after_the_first_registration(store: Store) -> None:
    login = Login(request=partner_request(new("partner")))
    phone = new_phone()
    assert await login.prove(store, phone) == o.Unregistered(phone)

    answer = await login.register(store)

    assert answer == o.ConsentAwaited(login.sign_in.new_sid, phone)
    assert await login.register(store) == answer
    found = await login.read(store)
    assert isinstance(found, o.FoundInteraction)
    assert found.step == "consent"


async def test_what_was_allowed_is_granted(store: Store) -> None:
    customer = await asked(store)

    answer = await customer.decides(store)

    request, phone = customer.login.request, customer.phone
    assert answer == o.SignedIn(customer.sub, customer.sid, request, phone)
    redeemed = await customer.redeems(store)
    assert (redeemed.scope, redeemed.sub, redeemed.sid) == (SCOPE, customer.sub, customer.sid)
    assert redeemed.refresh


async def test_what_was_not_allowed_is_not_granted(store: Store) -> None:
    customer = await asked(store)

    await customer.decides(store, "phone openid email")

    redeemed = await customer.redeems(store)
    assert (redeemed.scope, redeemed.refresh) == ("openid phone", False)
    assert await consents_of(store, customer) == {customer.client_id: "openid phone"}


async def test_claims_of_what_was_not_allowed_are_not_granted(store: Store, owner: Owner) -> None:
    request = partner_request(new("partner"), "openid", claims=CLAIMS)
    request["consent"] |= {"scope": "openid phone email", "claims": SCOPE_OF_CLAIMS}
    customer = await asked(store, request=request)

    await customer.decides(store, "openid phone")

    redeemed = await customer.redeems(store)
    assert redeemed.scope == "openid"
    kept = {"userinfo": {"phone_number": None}, "id_token": {"auth_time": {"essential": True}}}
    assert redeemed.claims == kept


async def test_where_no_claim_is_allowed_none_is_kept(store: Store) -> None:
    request = partner_request(new("partner"), "openid", claims={"id_token": {"email": None}})
    request["consent"] |= {"scope": "openid email", "claims": SCOPE_OF_CLAIMS}
    customer = await asked(store, request=request)

    await customer.decides(store, "openid")

    redeemed = await customer.redeems(store)
    assert (redeemed.claims, redeemed.customer) == (None, None)


async def test_without_offline_access_the_grant_ends_with_its_session(store: Store) -> None:
    away, here = await asked(store), await asked(store)
    grants = [await away.allows(store), await here.allows(store, "openid profile")]

    for grant in grants:
        await grant.end_session(store)

    assert [await grant.alive(store) for grant in grants] == [True, False]


async def test_the_same_decision_again_has_the_same_answer_and_is_told_once(
    store: Store, owner: Owner
) -> None:
    customer = await asked(store)
    grants, codes = await owner.count("grant"), await owner.count("code")

    answers = await at_once(customer.decides(store) for _ in range(MANY))

    signed_in = o.SignedIn(customer.sub, customer.sid, customer.login.request, customer.phone)
    assert answers == [signed_in] * MANY
    assert (await owner.count("grant"), await owner.count("code")) == (grants + 1, codes + 1)
    assert await owner.events("consent_granted", customer.sub) == 1


async def test_of_different_decisions_at_once_the_first_one_counts(store: Store) -> None:
    customer = await asked(store)
    decisions = ["openid", "openid profile", "openid phone", SCOPE] * 50

    answers = await at_once(customer.decides(store, allowed) for allowed in decisions)

    assert kinds(answers) == {o.SignedIn: MANY}
    consents = await consents_of(store, customer)
    assert (await customer.redeems(store)).scope == consents[customer.client_id]
    assert consents[customer.client_id] == "openid"


async def test_a_decision_and_a_refusal_race_and_one_counts(
    store: Store, other_store: Store
) -> None:
    for _ in range(50):
        customer = await asked(store)

        allowed, cancelled = await at_once(
            [customer.decides(store), customer.login.cancel(other_store)]
        )

        if isinstance(allowed, o.SignedIn):
            assert isinstance(cancelled, o.Completed)
            assert await consents_of(store, customer) == {customer.client_id: SCOPE}
        else:
            assert (type(allowed), type(cancelled)) == (o.Cancelled, o.Cancelled)
            assert await consents_of(store, customer) == {}


async def test_a_refusal_is_repeated_and_nothing_is_allowed_after_it(store: Store) -> None:
    customer = await asked(store)

    answers = [await customer.login.cancel(store) for _ in range(2)]

    request = customer.login.request
    assert [*answers, await customer.decides(store)] == [o.Cancelled(request)] * 3
    assert await consents_of(store, customer) == {}
    assert isinstance(await store.session_read(customer.sid, now=NOW), o.FoundSession)


async def test_only_the_browser_that_was_asked_decides(store: Store) -> None:
    customer = await asked(store)

    assert await customer.decides(store, browser="another") == o.OtherBrowser()

    assert await consents_of(store, customer) == {}


async def test_a_decision_that_comes_too_late_is_none(store: Store) -> None:
    customer = await asked(store)
    request, late = customer.login.request, NOW + LIFETIMES.interaction

    assert await customer.decides(store, now=late) == o.Expired(request)
    assert isinstance(await customer.decides(store, now=late - 1), o.SignedIn)


async def test_nobody_decides_before_they_have_signed_in(store: Store) -> None:
    login = await Login(request=partner_request(new("partner"))).begin(store)
    nobody = Asked(login, login.request["client_id"], "nobody", "none")
    assert await nobody.decides(store) == o.Unknown()
    await login.start(store, new_challenge(new_phone()))
    assert await nobody.decides(store) == o.Unknown()
    await login.enter(store, RIGHT)  # a phone of nobody: a name is asked for
    assert await nobody.decides(store) == o.Unknown()


async def test_no_decision_is_needed_for_a_client_of_the_group(store: Store, owner: Owner) -> None:
    consents, customer = await owner.count("consent"), await open_grant(store)

    assert isinstance(await Login().prove(store, customer.phone), o.SignedIn)
    assert await issue(store, Code(), customer) == o.Issued()
    assert await owner.count("consent") == consents


@pytest.mark.parametrize("how", ["signed out", "somebody else signed in", "blocked", "revoked"])
async def test_who_is_not_signed_in_any_more_decides_nothing(store: Store, how: str) -> None:
    customer = await asked(store)
    match how:
        case "signed out":
            await store.session_end(customer.sid, client_id=None, now=NOW)
        case "somebody else signed in":
            other = Login(sign_in=new_sign_in(current_sid=customer.sid))
            await other.prove(store, (await open_grant(store)).phone)
        case "blocked":
            await store.customer_block(
                customer.sub, revocation_id=new("revocation"), by=BY, now=NOW
            )
        case _:
            await store.sessions_revoke(
                "customer", customer.sub, revocation_id=new("revocation"), by=BY, now=NOW
            )

    completed = o.Completed(customer.login.request)
    assert await customer.decides(store) == completed
    assert await customer.login.read(store) == completed
    assert not await is_alive(store, customer.code.grant_id)


async def test_the_earlier_steps_again_lead_to_the_consent(store: Store) -> None:
    customer = await asked(store)
    login, awaited = customer.login, o.ConsentAwaited(customer.sid, customer.phone)

    assert await login.enter(store, RIGHT) == awaited
    assert await login.enter(store, WRONG) == awaited
    assert await login.start(store, new_challenge(new_phone())) == awaited
    assert await login.register(store) == awaited
    assert isinstance(await customer.decides(store), o.SignedIn)
    assert isinstance(await login.enter(store, RIGHT), o.SignedIn)
