"""Authorization codes: spent once, by whoever they were issued to, in time (RFC 6749 4.1)."""

from dataclasses import replace

import pytest

from storage import outcomes as o
from storage.records import KeyedLimit
from storage.store import Store
from tests.storage.builders import (
    LIFETIMES,
    MANY,
    NOW,
    Code,
    Owner,
    at_once,
    is_alive,
    issue,
    issue_code,
    kinds,
    new,
    open_grant,
)

EXPIRES_AT = NOW + LIFETIMES.code


async def test_a_code_brings_what_was_granted(store: Store) -> None:
    session = await open_grant(store)
    code = await issue_code(store, session, nonce="n-0S6", scope="openid", claims={"userinfo": {}})

    assert await code.redeem(store) == o.Redeemed(
        grant_id=code.grant_id,
        sub=session.sub,
        client_id=code.client_id,
        sid=session.sid,
        scope="openid",
        auth_time=NOW,
        acr="phone",
        amr="otp sms",
        refresh=True,
        nonce="n-0S6",
        claims={"userinfo": {}},
    )


async def test_a_code_brings_the_profile_when_claims_of_the_id_token_were_asked_for(
    store: Store,
) -> None:
    session = await open_grant(store)
    code = await issue_code(store, session, claims={"id_token": {"phone_number": None}})

    answer = await code.redeem(store)

    assert isinstance(answer, o.Redeemed)
    assert answer.customer is not None
    assert (answer.customer.sub, answer.customer.phone) == (session.sub, session.phone)


async def test_a_code_is_redeemed_once(store: Store) -> None:
    code = await issue_code(store)

    assert isinstance(await code.redeem(store), o.Redeemed)
    assert await code.redeem(store) == o.Replayed()


async def test_many_redeem_one_code_at_once_and_one_succeeds(store: Store) -> None:
    code = await issue_code(store)

    answers = await at_once(code.redeem(store) for _ in range(MANY))

    assert kinds(answers) == {o.Redeemed: 1, o.Replayed: MANY - 1}


async def test_two_connections_race_and_one_succeeds(store: Store, other_store: Store) -> None:
    codes = [await issue_code(store) for _ in range(50)]

    answers = await at_once(c.redeem(at) for c in codes for at in (store, other_store))

    pairs = zip(answers[::2], answers[1::2], strict=True)
    assert all(kinds(pair) == {o.Redeemed: 1, o.Replayed: 1} for pair in pairs)


async def test_a_replay_ends_what_the_first_use_gave(store: Store) -> None:
    session = await open_grant(store)
    code = await issue_code(store, session)
    await code.redeem(store)

    await code.redeem(store)

    assert not await is_alive(store, code.grant_id)
    family = replace(session, grant_id=code.grant_id)
    assert await family.rotate(store, code.token) == o.Unknown()


async def test_a_replay_leaves_the_session_and_its_other_grants_alone(store: Store) -> None:
    session = await open_grant(store)
    code = await issue_code(store, session)
    await code.redeem(store)

    await code.redeem(store)

    assert await session.alive(store)


async def test_a_replay_is_told_to_the_auditor_once(store: Store) -> None:
    code = await issue_code(store)
    await code.redeem(store)
    seen = max(event.seq for event in await store.audit_read(limit=1_000_000))

    await at_once(code.redeem(store) for _ in range(10))

    told = [event.event for event in await store.audit_read(after=seen)]
    assert told == ["code_replayed"]


async def test_the_same_attempt_again_has_the_same_answer(store: Store) -> None:
    code = await issue_code(store)

    answers = await at_once(code.redeem(store, attempt="lost") for _ in range(MANY))

    assert isinstance(answers[0], o.Redeemed)
    assert answers == [answers[0]] * MANY


async def test_the_same_attempt_again_stores_nothing_more(store: Store, owner: Owner) -> None:
    code = await issue_code(store)
    await code.redeem(store, attempt="lost")
    rows = await owner.count("refresh")

    await code.redeem(store, attempt="lost")

    assert await owner.count("refresh") == rows


async def test_after_a_replay_not_even_the_first_attempt_succeeds(store: Store) -> None:
    code = await issue_code(store)
    await code.redeem(store, attempt="first")
    await code.redeem(store, attempt="second")

    assert await code.redeem(store, attempt="first") == o.Unknown()


@pytest.mark.parametrize(
    ("presented", "parameter"),
    [
        ({"client_id": "other"}, "client_id"),
        ({"redirect_uri": "https://other.example/callback"}, "redirect_uri"),
        ({"redirect_uri": "https://app.example/callback/"}, "redirect_uri"),
        ({"code_challenge": "wrong"}, "code_verifier"),
        ({"code_challenge": None}, "code_verifier"),
    ],
)
@pytest.mark.parametrize("spent", [False, True])
async def test_a_mismatch_spends_nothing_and_ends_nothing(
    store: Store, presented: dict[str, str | None], parameter: str, *, spent: bool
) -> None:
    code = await issue_code(store)
    if spent:
        await code.redeem(store, attempt="own")

    forged = replace(code, **presented)  # type: ignore[arg-type]

    assert await forged.redeem(store) == o.Mismatch(parameter)
    assert isinstance(await code.redeem(store, attempt="own"), o.Redeemed)


async def test_a_verifier_without_a_challenge_is_refused(store: Store) -> None:
    code = await issue_code(store, code_challenge=None)

    forged = replace(code, code_challenge="downgraded")

    assert await forged.redeem(store) == o.Mismatch("code_verifier")
    assert isinstance(await code.redeem(store), o.Redeemed)


async def test_an_unknown_code_is_unknown(store: Store) -> None:
    assert await Code().redeem(store) == o.Unknown()


async def test_a_code_is_good_until_the_second_before_it_expires(store: Store) -> None:
    code = await issue_code(store)

    assert isinstance(await code.redeem(store, now=EXPIRES_AT - 1), o.Redeemed)


async def test_a_code_is_expired_in_the_second_of_its_expiry(store: Store) -> None:
    code = await issue_code(store)

    assert await code.redeem(store, now=EXPIRES_AT) == o.Expired()


async def test_a_replay_after_the_expiry_is_still_a_replay(store: Store) -> None:
    code = await issue_code(store)
    await code.redeem(store)
    await store.sweep(limit=1_000_000, now=EXPIRES_AT + 1)

    assert await code.redeem(store, now=EXPIRES_AT + 1) == o.Replayed()
    assert not await is_alive(store, code.grant_id, EXPIRES_AT + 1)


async def test_a_code_dies_with_its_session(store: Store) -> None:
    session = await open_grant(store)
    code = await issue_code(store, session)

    await session.end_session(store)

    assert await code.redeem(store) == o.Unknown()


async def test_a_code_for_offline_access_survives_its_session(store: Store) -> None:
    session = await open_grant(store)
    code = await issue_code(store, session, offline=True)

    await session.end_session(store)

    assert isinstance(await code.redeem(store), o.Redeemed)


async def test_a_grant_without_refresh_lives_as_long_as_its_access_token(
    store: Store, owner: Owner
) -> None:
    code = await issue_code(store, refresh=False)
    rows = await owner.count("refresh")

    answer = await code.redeem(store)

    assert isinstance(answer, o.Redeemed)
    assert not answer.refresh
    assert await owner.count("refresh") == rows
    assert await is_alive(store, code.grant_id, NOW + LIFETIMES.access_token - 1)
    assert not await is_alive(store, code.grant_id, NOW + LIFETIMES.access_token)


async def test_no_code_is_issued_to_a_session_that_has_ended(store: Store) -> None:
    session = await open_grant(store)
    await session.end_session(store)

    assert await issue(store, Code(), session) == o.SessionEnded()


async def test_no_code_is_issued_to_a_session_that_has_expired(store: Store) -> None:
    session = await open_grant(store)

    last = NOW + LIFETIMES.session_idle - 1
    assert await issue(store, Code(), session, now=last) == o.Issued()
    assert (
        await issue(store, Code(), session, now=last + LIFETIMES.session_idle) == o.SessionEnded()
    )


async def test_no_code_is_issued_to_another_customers_session(store: Store) -> None:
    session = await open_grant(store)
    stranger = await open_grant(store)

    assert await issue(store, Code(), replace(session, sub=stranger.sub)) == o.SessionEnded()


async def test_issuing_the_same_code_again_issues_one(store: Store, owner: Owner) -> None:
    session, code = await open_grant(store), Code()
    codes, grants = await owner.count("code"), await owner.count("grant")

    answers = await at_once(issue(store, code, session) for _ in range(MANY))

    assert kinds(answers) == {o.Issued: MANY}
    assert (await owner.count("code"), await owner.count("grant")) == (codes + 1, grants + 1)


async def test_single_sign_on_is_bounded_for_each_session(store: Store) -> None:
    session, limit = await open_grant(store), KeyedLimit(new("begin"), 2, 60)

    answers = [await issue(store, Code(), session, limit=limit) for _ in range(3)]

    assert answers == [o.Issued(), o.Issued(), o.Limited(30)]
