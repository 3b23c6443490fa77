"""Customers who are asked what a partner's client may have, and what they do."""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace as replace_struct

from storage import outcomes as o
from storage.store import Store
from tests.storage.builders import (
    LIFETIMES,
    NOW,
    Code,
    Grant,
    Login,
    digest,
    new,
    new_request,
    open_grant,
    room,
)

SCOPE = "openid profile phone offline_access"


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
    phone: str | None = None

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
    return Asked(login, login.request["client_id"], customer.sub, answer.sid, answer.phone)


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
