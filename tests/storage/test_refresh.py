"""Refresh tokens: rotation, the grace for a lost answer, and reuse (RFC 9700 4.14.2)."""

from dataclasses import replace

import pytest

from storage import outcomes as o
from storage.store import Store
from tests.storage.builders import (
    LIFETIMES,
    MANY,
    NOW,
    Grant,
    Owner,
    at_once,
    digest,
    issue_code,
    kinds,
    open_grant,
    successor,
)

GRACE = LIFETIMES.refresh_grace
STRICT = replace(LIFETIMES, refresh_grace=0)


async def rotated_twice(store: Store) -> tuple[Grant, str]:
    """A grant, and its first token, which is two rotations old."""
    grant = await open_grant(store)
    await grant.rotate(store, grant.token)
    await grant.rotate(store, successor(grant.token))
    return grant, grant.token


async def test_a_rotated_token_keeps_the_grant(store: Store) -> None:
    grant = await open_grant(store)

    assert await grant.rotate(store, grant.token) == o.Rotated(
        grant_id=grant.grant_id,
        sub=grant.sub,
        client_id="app",
        sid=grant.sid,
        scope="openid profile",
        auth_time=NOW,
        acr="phone",
        amr="otp sms",
    )


async def test_the_token_of_a_code_rotates(store: Store) -> None:
    session = await open_grant(store)
    code = await issue_code(store, session)
    await code.redeem(store)

    family = replace(session, grant_id=code.grant_id)

    assert isinstance(await family.rotate(store, code.token), o.Rotated)


async def test_each_successor_rotates_in_turn(store: Store) -> None:
    grant = await open_grant(store)
    token = grant.token

    for _ in range(10):
        assert isinstance(await grant.rotate(store, token), o.Rotated)
        token = successor(token)


async def test_many_rotate_one_token_at_once_and_one_branch_goes_on(
    store: Store, owner: Owner
) -> None:
    grant = await open_grant(store)

    answers = await at_once(grant.rotate(store, grant.token) for _ in range(MANY))

    assert kinds(answers) == {o.Rotated: MANY}
    family = await owner.eval("return box.space.refresh:get(...):tomap()", grant.grant_id)
    assert family["current_hash"] == digest(successor(grant.token))[:16]
    assert family["previous_hash"] == digest(grant.token)[:16]
    assert isinstance(await grant.rotate(store, successor(grant.token)), o.Rotated)


async def test_two_connections_rotate_one_token_and_one_branch_goes_on(
    store: Store, other_store: Store
) -> None:
    grant = await open_grant(store)

    answers = await at_once(grant.rotate(at, grant.token) for at in (store, other_store))

    assert kinds(answers) == {o.Rotated: 2}
    assert isinstance(await grant.rotate(store, successor(grant.token)), o.Rotated)


async def test_the_previous_token_is_honoured_until_its_successor_is_used(store: Store) -> None:
    grant = await open_grant(store)
    await grant.rotate(store, grant.token)
    assert isinstance(await grant.rotate(store, grant.token), o.Rotated)

    await grant.rotate(store, successor(grant.token))

    assert await grant.rotate(store, grant.token) == o.Replayed()


async def test_the_grace_lasts_until_the_second_before_its_end(store: Store) -> None:
    grant = await open_grant(store)
    await grant.rotate(store, grant.token)

    assert isinstance(await grant.rotate(store, grant.token, now=NOW + GRACE - 1), o.Rotated)


async def test_the_grace_is_not_prolonged_by_its_use(store: Store) -> None:
    grant = await open_grant(store)
    await grant.rotate(store, grant.token)
    await grant.rotate(store, grant.token, now=NOW + GRACE - 1)

    assert await grant.rotate(store, grant.token, now=NOW + GRACE) == o.Replayed()
    assert not await grant.alive(store)


async def test_without_grace_a_used_token_is_a_replay(store: Store) -> None:
    grant = await open_grant(store)
    await grant.rotate(store, grant.token, lifetimes=STRICT)

    assert await grant.rotate(store, grant.token, lifetimes=STRICT) == o.Replayed()
    assert not await grant.alive(store)


async def test_the_same_attempt_again_has_the_same_answer_even_without_grace(store: Store) -> None:
    grant = await open_grant(store)

    answers = await at_once(
        grant.rotate(store, grant.token, attempt="lost", lifetimes=STRICT) for _ in range(MANY)
    )

    assert answers == [answers[0]] * MANY
    assert isinstance(
        await grant.rotate(store, successor(grant.token), lifetimes=STRICT), o.Rotated
    )


async def test_an_older_token_ends_the_grant(store: Store) -> None:
    grant, oldest = await rotated_twice(store)

    assert await grant.rotate(store, oldest) == o.Replayed()
    assert not await grant.alive(store)
    assert await grant.rotate(store, successor(successor(oldest))) == o.Unknown()


async def test_a_reused_token_is_told_to_the_auditor_once(store: Store, owner: Owner) -> None:
    grant, oldest = await rotated_twice(store)

    answers = await at_once(grant.rotate(store, oldest) for _ in range(MANY))

    assert kinds(answers) == {o.Replayed: 1, o.Unknown: MANY - 1}
    assert await owner.events("refresh_token_reused", grant.sub) == 1


async def test_reuse_leaves_the_session_and_its_other_grants_alone(store: Store) -> None:
    grant, oldest = await rotated_twice(store)
    session = replace(grant, phone=grant.phone)
    code = await issue_code(store, session)
    await code.redeem(store)

    await grant.rotate(store, oldest)

    assert await replace(grant, grant_id=code.grant_id).alive(store)


@pytest.mark.parametrize("age", [0, 1, 2])
async def test_another_client_changes_nothing_with_whatever_token(store: Store, age: int) -> None:
    grant, oldest = await rotated_twice(store)
    tokens = [oldest, successor(oldest), successor(successor(oldest))]

    stolen = await grant.rotate(store, tokens[age], client_id="other", lifetimes=STRICT)

    assert stolen == o.Mismatch("client_id")
    assert isinstance(await grant.rotate(store, tokens[2]), o.Rotated)


async def test_a_token_that_never_was_ends_the_grant_that_it_names(store: Store) -> None:
    grant = await open_grant(store)

    assert await grant.rotate(store, "forged") == o.Replayed()
    assert not await grant.alive(store)


async def test_a_family_that_never_was_is_unknown(store: Store) -> None:
    grant = replace(await open_grant(store), grant_id="none")

    assert await grant.rotate(store, grant.token) == o.Unknown()


async def test_a_narrower_scope_is_granted(store: Store) -> None:
    grant = await open_grant(store)

    assert isinstance(await grant.rotate(store, grant.token, scope="profile"), o.Rotated)


@pytest.mark.parametrize("scope", ["openid email", "email", "open", "openid profilex"])
async def test_a_scope_that_was_not_granted_rotates_nothing(store: Store, scope: str) -> None:
    grant = await open_grant(store)

    refused = await grant.rotate(store, grant.token, scope=scope)

    assert refused == o.Mismatch("scope")
    assert await grant.rotate(store, successor(grant.token), client_id="other") == o.Mismatch(
        "client_id"
    )
    assert isinstance(await grant.rotate(store, grant.token, lifetimes=STRICT), o.Rotated)


async def test_an_unused_token_is_good_until_the_second_before_its_idle_end(store: Store) -> None:
    grant = await open_grant(store, offline=True)
    last = NOW + LIFETIMES.refresh_idle - 1

    assert isinstance(await grant.rotate(store, grant.token, now=last), o.Rotated)


async def test_an_unused_token_is_expired_at_its_idle_end(store: Store) -> None:
    grant = await open_grant(store, offline=True)

    late = NOW + LIFETIMES.refresh_idle

    assert await grant.rotate(store, grant.token, now=late) == o.Expired()


async def test_a_rotation_begins_the_idle_time_anew(store: Store) -> None:
    grant = await open_grant(store, offline=True)
    used = NOW + LIFETIMES.refresh_idle - 1
    await grant.rotate(store, grant.token, now=used)

    last = used + LIFETIMES.refresh_idle - 1

    assert isinstance(await grant.rotate(store, successor(grant.token), now=last), o.Rotated)


async def test_no_rotation_outlives_the_absolute_end(store: Store) -> None:
    lifetimes = replace(LIFETIMES, refresh_idle=100, refresh_absolute=150)
    grant = await open_grant(store, offline=True, lifetimes=lifetimes)
    tokens = [grant.token, successor(grant.token), successor(successor(grant.token))]

    in_time = [
        await grant.rotate(store, token, now=NOW + age, lifetimes=lifetimes)
        for token, age in zip(tokens, (99, 149), strict=False)
    ]

    assert kinds(in_time) == {o.Rotated: 2}
    late = await grant.rotate(store, tokens[2], now=NOW + 150, lifetimes=lifetimes)
    assert isinstance(late, o.Unknown | o.Expired)


async def test_an_ended_session_ends_its_grant(store: Store) -> None:
    grant = await open_grant(store)

    await grant.end_session(store)

    assert await grant.rotate(store, grant.token) == o.Unknown()


async def test_an_expired_session_ends_its_grant(store: Store) -> None:
    grant = await open_grant(store)
    late = NOW + LIFETIMES.session_idle

    assert await grant.rotate(store, grant.token, now=late) == o.Unknown()


async def test_offline_access_survives_its_session(store: Store) -> None:
    grant = await open_grant(store, offline=True)

    await grant.end_session(store)

    assert isinstance(await grant.rotate(store, grant.token), o.Rotated)


async def test_a_rotation_keeps_the_session_from_being_idle(store: Store) -> None:
    grant = await open_grant(store)
    used = NOW + LIFETIMES.session_idle - 1
    await grant.rotate(store, grant.token, now=used)

    session = await store.session_read(grant.sid, now=used + LIFETIMES.session_idle - 1)

    assert isinstance(session, o.FoundSession)


async def test_a_family_is_one_row_of_one_size_however_often_it_rotates(
    store: Store, owner: Owner
) -> None:
    grant, token = await rotated_twice(store)
    size = "return box.space.refresh:get(...):bsize()"
    rows, bytes_before = await owner.count("refresh"), await owner.eval(size, grant.grant_id)
    everything = "local n = 0 for _, s in pairs(box.space) do n = n + s:count() end return n"
    in_all = await owner.eval(everything)

    for rotation in range(2, 102):
        await grant.rotate(store, token + "+" * rotation, attempt="attempt-1234")

    assert await owner.count("refresh") == rows
    assert await owner.eval(everything) == in_all
    assert abs(await owner.eval(size, grant.grant_id) - bytes_before) < len("attempt-1234")
