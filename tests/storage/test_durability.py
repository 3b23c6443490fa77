"""What was answered is kept, and what was not kept is not answered."""

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from storage import audit_trail
from storage import outcomes as o
from storage.child import PrivateTarantool
from storage.errors import StoreError, Unavailable, Uncertain
from storage.records import By
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    MANY,
    NOW,
    RIGHT,
    Code,
    Login,
    Owner,
    PhoneGrant,
    at_once,
    digest,
    issue,
    issue_code,
    kinds,
    new,
    new_challenge,
    new_phone,
    new_sign_in,
    open_grant,
)

BY = By("alice@ops", "a test")
Step = Callable[[Store], Awaitable[Any]]

# A write beyond the limit of a file's size then fails instead of ending the process.
IGNORE_SIGXFSZ = """
    local ffi = require('ffi')
    ffi.cdef('void *signal(int number, void *handler);')
    ffi.C.signal(25, ffi.cast('void *', 1))
"""
EVERY_ROW = """
    local rows = {}
    for id, space in pairs(box.space) do
        if type(id) == 'number' and id >= 512 then
            rows[space.name] = space:select()
        end
    end
    return rows
"""
# No fiber yields before its write is pending, so the later ones see what the earlier ones wrote.
IN_ONE_ITERATION = """
    local fiber = require('fiber')
    local answers = fiber.channel(100)
    for place, call in ipairs({ ... }) do
        local procedure, arguments = unpack(call)
        fiber.create(function()
            local ok, answer = pcall(v1[procedure], arguments)
            answers:put({ place, ok, ok and answer.type or tostring(answer) })
        end)
    end
    local pending = answers:is_empty()
    local sorted = {}
    for _ = 1, select('#', ...) do
        local answer = answers:get()
        sorted[answer[1]] = { answer[2], answer[3] }
    end
    return { pending, sorted }
"""


class Dictation(Store):
    """Writes down the call that a step makes, and does not make it."""

    def __init__(self) -> None:
        self.call: list[object] = []

    async def _call(
        self,
        procedure: str,
        answer: Any,  # noqa: ARG002
        **arguments: Any,
    ) -> Any:
        self.call = [procedure, {k: v for k, v in arguments.items() if v is not None}]


async def in_one_iteration(owner: Owner, *steps: Step) -> list[list[Any]]:
    """Make the calls of all steps before Tarantool hears from its log; [succeeded, answer] each."""
    calls = []
    for step in steps:
        dictation = Dictation()
        await step(dictation)
        calls.append(dictation.call)
    pending, answers = await owner.eval(IN_ONE_ITERATION, *calls)
    assert pending, "a call was answered before the log had spoken"
    return list(answers)


@contextlib.contextmanager
def full_disk(process: PrivateTarantool) -> Iterator[None]:
    assert process.pid is not None
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def frozen(process: PrivateTarantool) -> Iterator[None]:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def kill(process: PrivateTarantool) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


@pytest.fixture
async def owner(fresh_owner: Owner) -> Owner:
    await fresh_owner.eval(IGNORE_SIGXFSZ + "return true")
    return fresh_owner


@pytest.fixture
async def impatient_store(fresh_tarantool: PrivateTarantool) -> AsyncIterator[Store]:
    connected = await Store.connect(fresh_tarantool.socket_path, fresh_tarantool.password, 0.2)
    yield connected
    await connected.close()


# Each arranges what the step needs, and returns the step.


async def code_redeemed(store: Store) -> Step:
    code = await issue_code(store)
    return lambda at: code.redeem(at, attempt="same")


async def code_issued(store: Store) -> Step:
    session, code = await open_grant(store), Code()
    return lambda at: issue(at, code, session)


async def refresh_rotated(store: Store) -> Step:
    grant = await open_grant(store)
    return lambda at: grant.rotate(at, grant.token, attempt="same")


async def otp_redeemed(store: Store) -> Step:
    journey = PhoneGrant()
    await journey.start(store, new_challenge(new_phone()))
    return lambda at: journey.enter(at, RIGHT)


async def otp_started(store: Store) -> Step:
    login, challenge = await Login().begin(store), new_challenge(new_phone())
    return lambda at: login.start(at, challenge)


async def signed_in(store: Store) -> Step:
    customer, login = await open_grant(store), await Login().begin(store)
    await login.start(store, new_challenge(customer.phone))
    return lambda at: login.enter(at, RIGHT)


async def registered(store: Store) -> Step:
    login = Login()
    await login.prove(store, new_phone())
    return login.register


async def access_token_revoked(store: Store) -> Step:
    grant, jti = await open_grant(store), new("jti")
    return lambda at: at.access_token_revoke(
        grant_id=grant.grant_id, jti=jti, client_id=CLIENT, expires_at=NOW + 1, now=NOW
    )


async def session_ended(store: Store) -> Step:
    session = await open_grant(store)
    return lambda at: at.session_end(session.sid, client_id=None, now=NOW)


async def customer_blocked(store: Store) -> Step:
    sub, revocation_id = (await open_grant(store)).sub, new("revocation")
    return lambda at: at.customer_block(sub, revocation_id=revocation_id, by=BY, now=NOW)


async def customer_unblocked(store: Store) -> Step:
    sub = (await open_grant(store)).sub
    await store.customer_block(sub, revocation_id=new("revocation"), by=BY, now=NOW)
    return lambda at: at.customer_unblock(sub, by=BY, now=NOW)


async def everybody_revoked(store: Store) -> Step:
    await open_grant(store)
    revocation_id = new("revocation")
    return lambda at: at.sessions_revoke("everybody", revocation_id=revocation_id, by=BY, now=NOW)


async def client_registered(store: Store) -> Step:
    token = new("token")
    await store.initial_access_token_create(
        token,
        token_hash=digest(token),
        policy="{}",
        most_clients=1,
        expires_at=NOW + 60,
        by=BY,
        now=NOW,
    )
    client_id = new("client")
    return lambda at: at.client_register(
        client_id, "{}", token_hash=digest(token), most_open=0, now=NOW
    )


WRITES = [
    client_registered,
    code_redeemed,
    code_issued,
    refresh_rotated,
    otp_redeemed,
    otp_started,
    signed_in,
    registered,
    access_token_revoked,
    session_ended,
    customer_blocked,
    customer_unblocked,
    everybody_revoked,
]


@pytest.mark.parametrize("arrange", WRITES)
async def test_a_repeat_of_a_write_that_is_taken_back_does_not_succeed(
    fresh_tarantool: PrivateTarantool,
    fresh_store: Store,
    owner: Owner,
    arrange: Callable[[Store], Awaitable[Step]],
) -> None:
    step = await arrange(fresh_store)
    rows = await owner.eval(EVERY_ROW)

    with full_disk(fresh_tarantool):
        answers = await in_one_iteration(owner, step, step, step)

    assert [succeeded for succeeded, _ in answers] == [False] * 3
    assert await owner.eval(EVERY_ROW) == rows


@pytest.mark.parametrize("arrange", WRITES)
async def test_a_repeat_of_a_write_that_is_kept_has_its_answer(
    fresh_store: Store, owner: Owner, arrange: Callable[[Store], Awaitable[Step]]
) -> None:
    step = await arrange(fresh_store)

    answers = await in_one_iteration(owner, step, step)

    assert [succeeded for succeeded, _ in answers] == [True] * 2


async def test_a_replay_of_a_redemption_that_is_taken_back_is_not_told(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, owner: Owner
) -> None:
    code = await issue_code(fresh_store)

    with full_disk(fresh_tarantool):
        answers = await in_one_iteration(owner, code.redeem, code.redeem)

    assert [succeeded for succeeded, _ in answers] == [False] * 2
    assert isinstance(await code.redeem(fresh_store), o.Redeemed)


async def test_nobody_reads_what_is_taken_back(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, owner: Owner
) -> None:
    journey = PhoneGrant(sign_in=new_sign_in())
    await journey.start(fresh_store, new_challenge(new_phone()))

    with full_disk(fresh_tarantool):
        answers = await in_one_iteration(
            owner,
            lambda at: journey.enter(at, RIGHT),
            lambda at: at.session_read(journey.sign_in.new_sid, now=NOW),
            lambda at: at.customer_read(journey.new_sub),
            lambda at: at.access_token_read(grant_id=journey.sign_in.grant_id, jti="jti", now=NOW),
        )

    assert [succeeded for succeeded, _ in answers] == [False] * 4


async def test_with_a_full_disk_nobody_is_told_of_success(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, impatient_store: Store, owner: Owner
) -> None:
    codes = [await issue_code(fresh_store) for _ in range(MANY)]

    with full_disk(fresh_tarantool):
        answers = await asyncio.gather(
            *(code.redeem(impatient_store, attempt=code.code) for code in codes),
            return_exceptions=True,
        )

    assert set(kinds(answers)) <= {Unavailable, Uncertain}
    answers_again = await at_once(code.redeem(fresh_store, attempt=code.code) for code in codes)
    assert kinds(answers_again) == {o.Redeemed: MANY}


async def test_what_is_taken_back_leaves_no_hole_in_the_audit_trail(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, impatient_store: Store, owner: Owner
) -> None:
    await open_grant(fresh_store)
    before = (await fresh_store.audit_ends()).head

    with full_disk(fresh_tarantool):
        lost = (open_grant(impatient_store) for _ in range(10))
        answers = await asyncio.gather(*lost, return_exceptions=True)

    assert all(isinstance(answer, StoreError) for answer in answers)
    assert (await fresh_store.audit_ends()).head == before
    await open_grant(fresh_store)
    chain = await audit_trail.verify(fresh_store, [before])
    assert chain.head.seq > before.seq


async def test_a_full_disk_does_not_keep_anybody_from_reading(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, impatient_store: Store, owner: Owner
) -> None:
    session = await open_grant(fresh_store)

    with full_disk(fresh_tarantool):
        with pytest.raises(Unavailable):
            await impatient_store.ready(now=NOW)
        found = await impatient_store.session_read(session.sid, now=NOW)

    assert isinstance(found, o.FoundSession)


async def test_a_call_goes_on_where_the_disk_has_room_again(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, impatient_store: Store, owner: Owner
) -> None:
    code = await issue_code(fresh_store)

    with full_disk(fresh_tarantool):
        waiting = asyncio.create_task(code.redeem(fresh_store))
        with pytest.raises(Unavailable):
            await impatient_store.ready(now=NOW)

    assert isinstance(await waiting, o.Redeemed)


async def test_all_that_was_answered_outlives_a_kill(
    fresh_tarantool: PrivateTarantool, fresh_store: Store
) -> None:
    grants = await at_once(open_grant(fresh_store) for _ in range(MANY))

    kill(fresh_tarantool)
    fresh_tarantool.restart_if_dead()

    assert all(await at_once(grant.alive(fresh_store) for grant in grants))
    answers = await at_once(grant.rotate(fresh_store, grant.token) for grant in grants)
    assert kinds(answers) == {o.Rotated: MANY}


async def test_what_is_queued_outlives_a_kill(
    fresh_tarantool: PrivateTarantool, fresh_store: Store
) -> None:
    journeys = [PhoneGrant() for _ in range(MANY)]
    await at_once(it.start(fresh_store, new_challenge(new_phone())) for it in journeys)

    kill(fresh_tarantool)
    fresh_tarantool.restart_if_dead()

    messages = await fresh_store.message_claim("claim", limit=2 * MANY, lease=3, now=NOW)
    assert {it.journey for it in messages} == {it.name for it in journeys}


async def test_a_kill_in_the_middle_keeps_all_that_was_answered(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, impatient_store: Store
) -> None:
    codes = [await issue_code(fresh_store) for _ in range(MANY)]
    calls = [asyncio.create_task(code.redeem(impatient_store, attempt=code.code)) for code in codes]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

    kill(fresh_tarantool)
    first = await asyncio.gather(*calls, return_exceptions=True)
    fresh_tarantool.restart_if_dead()
    second = await at_once(code.redeem(fresh_store, attempt=code.code) for code in codes)

    assert kinds(second) == {o.Redeemed: MANY}
    assert all(isinstance(a, StoreError) or a == b for a, b in zip(first, second, strict=True))


async def test_a_call_outlives_a_restart(
    fresh_tarantool: PrivateTarantool, fresh_store: Store
) -> None:
    code = await issue_code(fresh_store)

    kill(fresh_tarantool)
    call = asyncio.create_task(code.redeem(fresh_store))
    await asyncio.to_thread(fresh_tarantool.restart_if_dead)

    assert isinstance(await call, o.Redeemed)


async def test_a_call_without_an_answer_is_uncertain_and_may_be_made_again(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, impatient_store: Store
) -> None:
    code = await issue_code(fresh_store)

    with frozen(fresh_tarantool), pytest.raises(Uncertain):
        await code.redeem(impatient_store, attempt="same")

    assert isinstance(await code.redeem(fresh_store, attempt="same"), o.Redeemed)


async def test_a_call_whose_connection_is_lost_before_its_answer_is_uncertain(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, impatient_store: Store
) -> None:
    code = await issue_code(fresh_store)

    with contextlib.suppress(ProcessLookupError), frozen(fresh_tarantool):
        call = asyncio.create_task(code.redeem(impatient_store))
        await asyncio.sleep(0)
        kill(fresh_tarantool)

    with pytest.raises(Uncertain):
        await call


async def test_without_a_connection_nothing_happens(
    fresh_tarantool: PrivateTarantool, fresh_store: Store, impatient_store: Store
) -> None:
    code = await issue_code(fresh_store)
    kill(fresh_tarantool)
    with contextlib.suppress(StoreError):
        await impatient_store.ready(now=NOW)

    with pytest.raises(Unavailable):
        await code.redeem(impatient_store)


# Procedures of the tests' own


async def test_a_procedure_that_yields_is_aborted_and_keeps_nothing(
    fresh_store: Store, owner: Owner
) -> None:
    schema, rows = await fresh_store.ready(now=NOW), await owner.eval(EVERY_ROW)

    aborted = await owner.eval("""
        local yielding = require('tx').procedure(function()
            box.space.heartbeat:replace({ 2, 1 })
            require('fiber').yield()
            box.space.heartbeat:replace({ 3, 1 })
        end)
        return tostring(select(2, pcall(yielding)))
    """)

    assert aborted == "Transaction has been aborted by a fiber yield"
    assert await owner.eval(EVERY_ROW) == rows
    assert await fresh_store.ready(now=NOW) == schema


async def test_a_procedure_that_fails_keeps_nothing(fresh_store: Store, owner: Owner) -> None:
    schema, rows = await fresh_store.ready(now=NOW), await owner.eval(EVERY_ROW)

    failed = await owner.eval("""
        local failing = require('tx').procedure(function()
            box.space.heartbeat:replace({ 2, 1 })
            error('no', 0)
        end)
        return select(2, pcall(failing))
    """)

    assert failed == "no"
    assert await owner.eval(EVERY_ROW) == rows
    assert await fresh_store.ready(now=NOW) == schema
