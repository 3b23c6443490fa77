"""What a customer allows a partner: asked once, granted no further, and taken back at once."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
from msgspec.structs import replace as replace_struct

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
    Grant,
    Login,
    Owner,
    at_once,
    digest,
    is_alive,
    issue,
    kinds,
    new,
    new_challenge,
    new_phone,
    new_request,
    new_sign_in,
    open_grant,
    room,
)

SCOPE = "openid profile phone offline_access"
CLAIMS = {
    "userinfo": {"phone_number": None, "email": {"essential": True}},
    "id_token": {"email": None, "auth_time": {"essential": True}},
}
SCOPE_OF_CLAIMS = {"phone_number": "phone", "email": "email"}
BY = By("alice@ops", "an intrusion")


def partner_request(
    client_id: str, scope: str = SCOPE, *, always: bool = False, **changed: Any
) -> dict[str, Any]:
    """A partner's request; `always` is that of prompt=consent."""
    return (
        new_request(
            client_id=client_id,
            scope=scope,
            offline="offline_access" in scope,
            refresh="offline_access" in scope,
            consent={"scope": scope, "claims": {}, "always": always},
        )
        | changed
    )


@dataclass(frozen=True)
class Asked:
    """A customer who has signed in at a partner's request, and is asked."""

    login: Login
    client_id: str
    sub: str
    sid: str

    @property
    def code(self) -> Code:
        return Code(
            grant_id=self.login.sign_in.grant_id, code=self.login.code, client_id=self.client_id
        )

    async def decides(
        self, store: Store, allowed: str = SCOPE, *, now: int = NOW, browser: str | None = None
    ) -> o.ConsentDecide:
        return await store.consent_decide(
            self.login.interaction_id,
            browser_hash=digest(browser or self.login.browser),
            allowed=allowed,
            sign_in=replace_struct(self.login.sign_in, code_hash=digest(self.login.code)),
            now=now,
        )

    async def redeems(self, store: Store, now: int = NOW) -> o.Redeemed:
        answer = await self.code.redeem(store, now=now)
        assert isinstance(answer, o.Redeemed)
        return answer

    async def allows(self, store: Store, allowed: str = SCOPE, now: int = NOW) -> Grant:
        """Decide, and redeem the code."""
        assert isinstance(await self.decides(store, allowed, now=now), o.SignedIn)
        await self.redeems(store, now)
        code = self.code
        return Grant(phone="", sub=self.sub, sid=self.sid, grant_id=code.grant_id, token=code.token)


async def asked(
    store: Store,
    customer: Grant | None = None,
    client_id: str | None = None,
    *,
    request: dict[str, Any] | None = None,
    now: int = NOW,
) -> Asked:
    """Sign in by phone and code at a partner's request."""
    customer = customer or await open_grant(store, now=now)
    login = Login(request=request or partner_request(client_id or new("partner")))
    answer = await login.prove(store, customer.phone, now)
    assert isinstance(answer, o.ConsentAwaited)
    return Asked(login, login.request["client_id"], customer.sub, answer.sid)


async def sso(
    store: Store, session: Grant | Asked, request: dict[str, Any], code: Code | None = None
) -> o.CodeIssue:
    code = code or Code(client_id=request["client_id"])
    return await store.code_issue(
        sid=session.sid,
        sub=session.sub,
        request=request,
        grant_id=code.grant_id,
        code_hash=digest(code.code),
        lifetimes=LIFETIMES,
        limit=room(),
        now=NOW,
    )


async def consents_of(store: Store, session: Grant | Asked) -> dict[str, str]:
    """What the customer allows, by client."""
    answer = await store.consents_list(session.sid, now=NOW)
    assert isinstance(answer, o.FoundConsents)
    return {consent.client_id: consent.scope for consent in answer.consents}


async def withdraw(store: Store, session: Grant | Asked, client_id: str) -> o.ConsentWithdraw:
    answer = await store.consents_list(session.sid, now=NOW)
    assert isinstance(answer, o.FoundConsents)
    (consent,) = [it for it in answer.consents if it.client_id == client_id]
    return await store.consent_withdraw(
        session.sid, client_id=client_id, consent_id=consent.consent_id, now=NOW
    )


# The step of a login


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
    assert await login.prove(store, new_phone()) == o.Unregistered()

    answer = await login.register(store)

    assert answer == o.ConsentAwaited(login.sign_in.new_sid)
    assert await login.register(store) == answer
    found = await login.read(store)
    assert isinstance(found, o.FoundInteraction)
    assert found.step == "consent"


async def test_what_was_allowed_is_granted(store: Store) -> None:
    customer = await asked(store)

    answer = await customer.decides(store)

    assert answer == o.SignedIn(customer.sub, customer.sid, customer.login.request)
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

    assert answers == [o.SignedIn(customer.sub, customer.sid, customer.login.request)] * MANY
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
    login, awaited = customer.login, o.ConsentAwaited(customer.sid)

    assert await login.enter(store, RIGHT) == awaited
    assert await login.enter(store, WRONG) == awaited
    assert await login.start(store, new_challenge(new_phone())) == awaited
    assert await login.register(store) == awaited
    assert isinstance(await customer.decides(store), o.SignedIn)
    assert isinstance(await login.enter(store, RIGHT), o.SignedIn)


# Single sign-on


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


# Withdrawal


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
