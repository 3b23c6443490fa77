"""Tokens after they were issued: in use, and taken back (RFC 7009)."""

from dataclasses import replace

from storage import outcomes as o
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    LIFETIMES,
    MANY,
    NOW,
    Grant,
    Owner,
    at_once,
    is_alive,
    issue_code,
    new,
    open_grant,
)

EXPIRES_AT = NOW + LIFETIMES.access_token


async def read(store: Store, grant: Grant, jti: str, now: int = NOW) -> o.AccessTokenRead:
    return await store.access_token_read(grant_id=grant.grant_id, jti=jti, now=now)


async def revoke_access(
    store: Store, grant: Grant, jti: str, client_id: str = CLIENT
) -> o.TokenRevoke:
    return await store.access_token_revoke(
        grant_id=grant.grant_id, jti=jti, client_id=client_id, expires_at=EXPIRES_AT, now=NOW
    )


async def revoke_refresh(store: Store, grant: Grant, client_id: str = CLIENT) -> o.TokenRevoke:
    return await store.refresh_token_revoke(grant_id=grant.grant_id, client_id=client_id, now=NOW)


async def test_an_access_token_in_use_brings_the_customer(store: Store) -> None:
    grant = await open_grant(store)

    answer = await read(store, grant, new("jti"))

    assert isinstance(answer, o.Active)
    assert (answer.customer.sub, answer.customer.phone) == (grant.sub, grant.phone)
    assert answer.claims is None


async def test_an_access_token_brings_the_claims_that_were_asked_of_userinfo(store: Store) -> None:
    session = await open_grant(store)
    wanted = {"userinfo": {"phone_number": {"essential": True}}}
    code = await issue_code(store, session, claims=wanted)
    await code.redeem(store)

    answer = await read(store, replace(session, grant_id=code.grant_id), new("jti"))

    assert isinstance(answer, o.Active)
    assert answer.claims == wanted["userinfo"]


async def test_a_revoked_access_token_is_inactive_at_once_and_the_others_are_not(
    store: Store,
) -> None:
    grant, jti = await open_grant(store), new("jti")

    assert await revoke_access(store, grant, jti) == o.Revoked()

    assert await read(store, grant, jti) == o.Inactive()
    assert isinstance(await read(store, grant, new("jti")), o.Active)


async def test_revoking_an_access_token_again_is_told_once(store: Store, owner: Owner) -> None:
    grant, jti = await open_grant(store), new("jti")

    answers = await at_once(revoke_access(store, grant, jti) for _ in range(MANY))

    assert answers == [o.Revoked()] * MANY
    assert await owner.events("access_token_revoked", grant.sub) == 1


async def test_another_client_revokes_no_access_token(store: Store) -> None:
    grant, jti = await open_grant(store), new("jti")

    refused = await revoke_access(store, grant, jti, client_id="other")

    assert refused == o.Mismatch("client_id")
    assert isinstance(await read(store, grant, jti), o.Active)


async def test_revoking_a_refresh_token_ends_its_grant(store: Store) -> None:
    grant = await open_grant(store)

    assert await revoke_refresh(store, grant) == o.Revoked()

    assert await read(store, grant, new("jti")) == o.Inactive()
    assert await grant.rotate(store, grant.token) == o.Unknown()


async def test_revoking_a_refresh_token_leaves_the_session_alone(store: Store) -> None:
    grant = await open_grant(store)

    await revoke_refresh(store, grant)

    assert isinstance(await store.session_read(grant.sid, now=NOW), o.FoundSession)


async def test_revoking_a_refresh_token_again_finds_nothing(store: Store, owner: Owner) -> None:
    grant = await open_grant(store)

    answers = await at_once(revoke_refresh(store, grant) for _ in range(10))

    assert answers == [o.Revoked(), *[o.Unknown()] * 9]
    assert await owner.events("grant_revoked", grant.sub) == 1


async def test_another_client_revokes_no_refresh_token(store: Store) -> None:
    grant = await open_grant(store)

    assert await revoke_refresh(store, grant, client_id="other") == o.Mismatch("client_id")
    assert isinstance(await grant.rotate(store, grant.token), o.Rotated)


async def test_tokens_of_a_grant_that_never_was_are_unknown(store: Store) -> None:
    grant = replace(await open_grant(store), grant_id="none")

    assert await read(store, grant, new("jti")) == o.Inactive()
    assert await revoke_access(store, grant, new("jti")) == o.Unknown()
    assert await revoke_refresh(store, grant) == o.Unknown()


async def test_a_revocation_outlives_the_sweep_as_long_as_its_token(store: Store) -> None:
    grant, jti = await open_grant(store), new("jti")
    await revoke_access(store, grant, jti)

    await store.sweep(limit=1_000_000, now=EXPIRES_AT - 1)

    assert await read(store, grant, jti, EXPIRES_AT - 1) == o.Inactive()


async def test_an_access_token_is_inactive_when_its_session_has_ended(store: Store) -> None:
    grant = await open_grant(store)

    assert await is_alive(store, grant.grant_id, NOW + LIFETIMES.session_idle - 1)
    assert not await is_alive(store, grant.grant_id, NOW + LIFETIMES.session_idle)
