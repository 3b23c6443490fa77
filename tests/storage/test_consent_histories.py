"""Random histories of consents: what is granted, asked for and alive, as a plain model says."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from storage import outcomes as o
from storage.store import Store
from tests.storage.builders import (
    NOW,
    Code,
    Grant,
    Login,
    digest,
    is_alive,
    new,
    open_grant,
    room,
)
from tests.storage.consenting import Asked, consents_of, partner_request, sso
from tests.storage.topologies import Served

OPTIONAL = ("profile", "phone", "offline_access")
SCOPES = st.sets(st.sampled_from(OPTIONAL))
CLIENTS = st.integers(0, 1)
EXAMPLES = 60


@dataclass
class Consent:
    """What was answered; another object is another consent."""

    allowed: frozenset[str]
    declined: frozenset[str]


@dataclass(frozen=True)
class Granted:
    grant_id: str
    session: Grant
    client_id: str
    consent: Consent
    offline: bool


class Machine(RuleBasedStateMachine):
    sessions: Bundle[Grant] = Bundle("sessions")

    def __init__(self, runner: asyncio.Runner, store: Store) -> None:
        super().__init__()
        self._runner = runner
        self._store = store
        self._clients = [new("partner"), new("partner")]
        self._consents: dict[tuple[str, str], Consent] = {}
        self._granted: list[Granted] = []
        self._ended: set[str] = set()  # sessions
        self._customers: list[Grant] = []
        self._last: tuple[Callable[[], Awaitable[Any]], object] | None = None

    def _answer(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async def made() -> Any:
            return await call()

        answer = self._runner.run(made())
        self._last = (call, answer)
        return answer

    @initialize(target=sessions)
    def begin(self) -> Grant:
        self._customers.append(self._runner.run(open_grant(self._store)))
        return self._customers[0]

    @rule(target=sessions, known=st.booleans())
    def sign_in(self, *, known: bool) -> Grant:
        phone = self._customers[0].phone if known else None
        self._last = None
        session = self._runner.run(open_grant(self._store, phone=phone))
        self._customers.append(session)
        return session

    @rule(session=sessions)
    def sign_out(self, session: Grant) -> None:
        self._runner.run(session.end_session(self._store))
        self._ended.add(session.sid)
        self._last = None

    @rule(session=sessions, client=CLIENTS, scope=SCOPES, always=st.booleans())
    def single_sign_on(self, session: Grant, client: int, scope: set[str], *, always: bool) -> None:
        client_id, code = self._clients[client], Code(client_id=self._clients[client])
        request = partner_request(client_id, _text(scope), always=always)
        answer = self._answer(lambda: sso(self._store, session, request, code))
        consent = self._consents.get((session.sub, client_id))
        if session.sid in self._ended:
            assert answer == o.SessionEnded()
        elif always or consent is None or not scope <= consent.allowed | consent.declined:
            assert answer == o.ConsentMissing()
        else:
            assert answer == o.Issued()
            self._redeem(code, session, consent, scope)

    @rule(session=sessions, client=CLIENTS, scope=SCOPES, ticked=SCOPES)
    def decide(self, session: Grant, client: int, scope: set[str], ticked: set[str]) -> None:
        client_id = self._clients[client]
        login = Login(request=partner_request(client_id, _text(scope)))
        started = self._runner.run(
            self._store.interaction_start(
                login.interaction_id,
                browser_hash=digest(login.browser),
                request=login.request,
                expires_at=NOW + 60,
                limit=room(),
                now=NOW,
                sid=session.sid,
            )
        )
        if session.sid in self._ended:
            assert started == o.SessionEnded()
            return
        asked = Asked(login, client_id, session.sub, session.sid)
        answer = self._answer(lambda: asked.decides(self._store, _text(ticked)))
        assert answer == o.SignedIn(session.sub, session.sid, login.request)
        consent = self._remember((session.sub, client_id), scope, ticked)
        self._redeem(asked.code, session, consent, scope)

    def _remember(self, key: tuple[str, str], scope: set[str], ticked: set[str]) -> Consent:
        allowed, declined = frozenset(scope & ticked), frozenset(scope - ticked)
        known = self._consents.get(key)
        if known is None:
            self._consents[key] = Consent(allowed, declined)
            return self._consents[key]
        narrowed = bool(known.allowed & declined)
        allowed, declined = allowed | known.allowed - scope, declined | known.declined - scope
        if narrowed:
            self._consents[key] = Consent(allowed, declined)
        else:
            known.allowed, known.declined = allowed, declined
        return self._consents[key]

    def _redeem(self, code: Code, session: Grant, consent: Consent, scope: set[str]) -> None:
        redeemed = self._runner.run(code.redeem(self._store, attempt="first"))
        assert isinstance(redeemed, o.Redeemed)
        held = scope & consent.allowed
        offline = "offline_access" in held
        assert set(redeemed.scope.split()) == held | {"openid"}
        assert redeemed.refresh == offline
        grant = Granted(code.grant_id, session, code.client_id, consent, offline)
        self._granted.append(grant)
        self._last = None  # its code is spent

    @rule(session=sessions, client=CLIENTS)
    def withdraw(self, session: Grant, client: int) -> None:
        client_id, sid = self._clients[client], session.sid
        listed = self._runner.run(self._store.consents_list(sid, now=NOW))
        if sid in self._ended:
            assert listed == o.Unknown()
            return
        assert isinstance(listed, o.FoundConsents)
        consent_id = {it.client_id: it.consent_id for it in listed.consents}.get(client_id, "")
        answer = self._answer(
            lambda: self._store.consent_withdraw(
                sid, client_id=client_id, consent_id=consent_id, now=NOW
            )
        )
        assert answer == o.Withdrawn()
        self._consents.pop((session.sub, client_id), None)

    @rule()
    def make_the_last_call_again(self) -> None:
        if self._last is not None:
            call, answer = self._last
            assert self._answer(call) == answer

    @invariant()
    def exactly_what_is_allowed_lives(self) -> None:
        for grant in self._granted:
            consent = self._consents.get((grant.session.sub, grant.client_id))
            expected = consent is grant.consent and (
                grant.offline or grant.session.sid not in self._ended
            )
            assert self._runner.run(is_alive(self._store, grant.grant_id)) == expected

    @invariant()
    def the_customer_sees_what_they_allow(self) -> None:
        for session in self._customers:
            if session.sid in self._ended:
                continue
            shown = self._runner.run(consents_of(self._store, session))
            expected = {
                client_id: consent.allowed | {"openid"}
                for (sub, client_id), consent in self._consents.items()
                if sub == session.sub
            }
            assert {name: set(scope.split()) for name, scope in shown.items()} == expected


def _text(scope: set[str]) -> str:
    return " ".join(("openid", *sorted(scope)))


def test_every_history_of_consents_is_answered_as_the_model_answers(fresh: Served) -> None:
    with asyncio.Runner() as runner:
        store = runner.run(fresh.store())

        class OurMachine(Machine):
            def __init__(self) -> None:
                super().__init__(runner, store)

        run_state_machine_as_test(
            OurMachine,
            settings=settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None),
        )
        runner.run(store.close())
