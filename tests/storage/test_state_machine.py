"""Random histories of codes, tokens, blocks and revocations, answered as the model answers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from storage import outcomes as o
from storage.records import By
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    NOW,
    RIGHT,
    Code,
    Grant,
    PhoneGrant,
    is_alive,
    issue,
    new,
    new_challenge,
    new_phone,
    new_sign_in,
    open_grant,
)
from tests.storage.model import LIFETIMES, WRONG_TRIES, Model
from tests.storage.topologies import Served

ATTEMPTS = st.sampled_from(["one", "two"])
CLIENTS = st.sampled_from([CLIENT] * 9 + ["other"])
# On and around the edges of the lifetimes.
SECONDS = st.sampled_from([1, 29, 30, 59, 60, 100, 180, 300, 999, 1000, 1500, 2500])
GUESSES = st.sampled_from([RIGHT, "wrong 1", "wrong 2", "wrong 3"])

BY = By("alice@ops", "a test")
EXAMPLES = 60

Call = Callable[[], Awaitable[Any]]


class Machine(RuleBasedStateMachine):
    grants: Bundle[Grant] = Bundle("grants")
    codes: Bundle[tuple[Grant, Code]] = Bundle("codes")
    journeys: Bundle[tuple[str, PhoneGrant]] = Bundle("journeys")

    def __init__(self, runner: asyncio.Runner, store: Store) -> None:
        super().__init__()
        self._runner = runner
        self._store = store
        self._model = Model(NOW)
        self._phones = [new_phone(), new_phone()]
        self._last: tuple[Call, object] | None = None

    def _answer(self, call: Call) -> Any:
        async def made() -> Any:
            return await call()

        answer = self._runner.run(made())
        # After a replay there is no grant left to find.
        self._last = None if isinstance(answer, o.Replayed) else (call, answer)
        return answer

    @initialize(target=grants)
    def begin(self) -> Grant:
        return self._open_grant(offline=False)

    @rule(target=grants, offline=st.booleans())
    def sign_in(self, *, offline: bool) -> Grant:
        return self._open_grant(offline=offline)

    def _open_grant(self, *, offline: bool) -> Grant:
        grant: Grant = self._runner.run(
            open_grant(self._store, now=self._model.now, lifetimes=LIFETIMES, offline=offline)
        )
        self._model.open(grant, "sign-in", offline=offline)
        self._last = None
        return grant

    @rule(target=codes, session=grants, offline=st.booleans())
    def issue_code(
        self, session: Grant, *, offline: bool
    ) -> tuple[Grant, Code] | MultipleResults[tuple[Grant, Code]]:
        code, now = Code(), self._model.now
        answer = self._answer(
            lambda: issue(self._store, code, session, now=now, lifetimes=LIFETIMES, offline=offline)
        )
        assert type(answer) is self._model.issue(
            session.sid, code.grant_id, code.code, offline=offline
        )
        return (session, code) if answer == o.Issued() else multiple()

    @rule(target=grants, issued=codes, attempt=ATTEMPTS, client_id=CLIENTS)
    def redeem_code(
        self, issued: tuple[Grant, Code], attempt: str, client_id: str
    ) -> Grant | MultipleResults[Grant]:
        session, code = issued
        presented, now = replace(code, client_id=client_id), self._model.now
        answer = self._answer(
            lambda: presented.redeem(self._store, now=now, attempt=attempt, lifetimes=LIFETIMES)
        )
        assert type(answer) is self._model.redeem(code.code, client_id, code.token, attempt)
        self._check_life_of(code.grant_id)
        if not isinstance(answer, o.Redeemed):
            return multiple()
        return replace(session, grant_id=code.grant_id, token=code.token)

    @rule(grant=grants, age=st.integers(0, 3), attempt=ATTEMPTS, client_id=CLIENTS)
    def rotate(self, grant: Grant, age: int, attempt: str, client_id: str) -> None:
        self._rotate(grant, age, attempt, client_id)

    @rule(grant=grants, seconds=SECONDS, attempt=ATTEMPTS)
    def rotate_and_use_the_old_token_later(self, grant: Grant, seconds: int, attempt: str) -> None:
        self._rotate(grant, 0, "one", CLIENT)
        self._model.now += seconds
        self._rotate(grant, 1, attempt, CLIENT)

    def _rotate(self, grant: Grant, age: int, attempt: str, client_id: str) -> None:
        family, now = self._model.families.get(grant.grant_id), self._model.now
        newest = family.current if family is not None else grant.token
        token = newest[: max(len(grant.token), len(newest) - age)]
        answer = self._answer(
            lambda: grant.rotate(
                self._store,
                token,
                now=now,
                attempt=f"{attempt} {token}",
                client_id=client_id,
                lifetimes=LIFETIMES,
            )
        )
        expected = self._model.rotate(grant.grant_id, client_id, token, f"{attempt} {token}")
        assert type(answer) is expected
        self._check_life_of(grant.grant_id)

    @rule(grant=grants)
    def end_session(self, grant: Grant) -> None:
        self._answer(
            lambda: self._store.session_end(grant.sid, client_id=None, now=self._model.now)
        )
        self._model.end_session(grant.sid)

    @rule(target=journeys, phone=st.integers(0, 1))
    def begin_journey(self, phone: int) -> tuple[str, PhoneGrant]:
        return self._phones[phone], PhoneGrant(sign_in=new_sign_in(lifetimes=LIFETIMES))

    @rule(journey=journeys, attempt=ATTEMPTS)
    def send_code(self, journey: tuple[str, PhoneGrant], attempt: str) -> None:
        phone, grant = journey
        challenge, now = new_challenge(phone, attempt=attempt), self._model.now
        answer = self._answer(lambda: grant.start(self._store, challenge, now))
        due = self._model.start(grant.otp_session, challenge.challenge_id, attempt)
        row = self._model.challenges[grant.otp_session]
        assert answer == o.OtpStarted(row.challenge_id, due, row.resend_at, row.expires_at)

    @rule(target=grants, journey=journeys, code=GUESSES, attempt=ATTEMPTS)
    def enter_code(
        self, journey: tuple[str, PhoneGrant], code: str, attempt: str
    ) -> Grant | MultipleResults[Grant]:
        phone, chosen = journey
        challenge = self._model.challenges.get(chosen.otp_session)
        # An attempt is one request, so it is of one challenge and one code.
        attempt = f"{attempt} {challenge.challenge_id if challenge else ''} {code}"
        ids = new_sign_in(new_sid=attempt, grant_id=attempt, lifetimes=LIFETIMES)
        grant, now = replace(chosen, attempt=attempt, sign_in=ids), self._model.now
        answer = self._answer(lambda: grant.enter(self._store, code, now, WRONG_TRIES, attempt))
        refusal = self._model.enter(grant.otp_session, phone, code, attempt)
        if refusal is not None:
            assert answer == refusal
            return multiple()
        assert isinstance(answer, o.Redeemed)
        if self._model.challenges[grant.otp_session].spent_by is not None:
            return multiple()
        self._model.spend(grant.otp_session, attempt, answer.grant_id)
        opened = Grant(
            phone=phone,
            sub=answer.sub,
            sid=answer.sid,
            grant_id=answer.grant_id,
            token=grant.token,
        )
        self._model.open(opened, attempt, offline=False)
        return opened

    @rule(grant=grants)
    def block(self, grant: Grant) -> None:
        revocation_id, now = new("revocation"), self._model.now
        answer = self._answer(
            lambda: self._store.customer_block(
                grant.sub, revocation_id=revocation_id, by=BY, now=now
            )
        )
        assert type(answer) is self._model.block(grant.sub)
        self._check_life_of(grant.grant_id)

    @rule(grant=grants)
    def unblock(self, grant: Grant) -> None:
        now = self._model.now
        answer = self._answer(lambda: self._store.customer_unblock(grant.sub, by=BY, now=now))
        assert type(answer) is self._model.unblock(grant.sub)
        self._check_life_of(grant.grant_id)

    @rule(grant=grants, everybody=st.booleans(), ago=SECONDS, seconds=SECONDS)
    def revoke_what_began_between(
        self, grant: Grant, ago: int, seconds: int, *, everybody: bool
    ) -> None:
        since = self._model.now - ago
        self._revoke(None if everybody else grant.sub, since=since, before=since + seconds)

    @rule(grant=grants, everybody=st.booleans())
    def revoke(self, grant: Grant, *, everybody: bool) -> None:
        self._revoke(None if everybody else grant.sub)

    def _revoke(self, sub: str | None, **window: int) -> None:
        target: Literal["customer", "everybody"] = "everybody" if sub is None else "customer"
        revocation_id, now = new("revocation"), self._model.now
        self._answer(
            lambda: self._store.sessions_revoke(
                target, sub or "", revocation_id=revocation_id, by=BY, now=now, **window
            )
        )
        self._model.revoke(sub, **window)

    @rule(seconds=SECONDS)
    def wait(self, seconds: int) -> None:
        self._model.now += seconds
        self._last = None

    @rule()
    def sweep(self) -> None:
        self._runner.run(self._store.sweep(limit=1_000_000, now=self._model.now))
        self._model.sweep()
        self._last = None

    @rule()
    def make_the_last_call_again(self) -> None:
        if self._last is not None:
            call, answer = self._last
            assert self._answer(call) == answer

    @rule(grant=grants)
    def use_an_access_token(self, grant: Grant) -> None:
        self._check_life_of(grant.grant_id)

    def _check_life_of(self, grant_id: str) -> None:
        alive = self._runner.run(is_alive(self._store, grant_id, self._model.now))
        assert alive == self._model.alive(grant_id)


def test_every_history_is_answered_as_the_model_answers(fresh: Served) -> None:
    with asyncio.Runner() as runner:
        store = runner.run(fresh.store())

        class OurMachine(Machine):
            def __init__(self) -> None:
                super().__init__(runner, store)

        run_state_machine_as_test(
            OurMachine,
            settings=settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None),
        )
        runner.run(store.close())
