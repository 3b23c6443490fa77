"""Initial access tokens, and the clients that are registered with one or without any."""

from typing import Final

import pytest

from storage import outcomes as o
from storage.records import By, KeyedLimit
from storage.store import Store
from tests.storage.builders import (
    MANY,
    NOW,
    Owner,
    at_once,
    digest,
    is_alive,
    kinds,
    new,
    open_grant,
)

OPERATOR: Final = By("anna@bastion", "a contract")
EXPIRES_AT: Final = NOW + 1_000


async def create(store: Store, token: str, *, most_clients: int = 1) -> str:
    """The identifier of a new token."""
    token_id = new("token")
    await store.initial_access_token_create(
        token_id,
        token_hash=digest(token),
        policy='{"scopes":["openid"]}',
        most_clients=most_clients,
        expires_at=EXPIRES_AT,
        by=OPERATOR,
        now=NOW,
    )
    return token_id


async def register(
    store: Store,
    token: str | None,
    *,
    client_id: str | None = None,
    most_open: int = 0,
    now: int = NOW,
) -> o.ClientRegister:
    return await store.client_register(
        client_id or new("client"),
        "{}",
        token_hash=None if token is None else digest(token),
        most_open=most_open,
        now=now,
    )


async def revoke(store: Store, token_id: str) -> o.InitialAccessTokenRevoke:
    return await store.initial_access_token_revoke(token_id, by=OPERATOR, now=NOW)


async def usable(store: Store, token: str, *, now: int = NOW) -> bool:
    found = await store.initial_access_token_read(digest(token), now=now)
    return isinstance(found, o.FoundInitialAccessToken)


async def registered(store: Store, token_id: str) -> int:
    (found,) = (it for it in await store.initial_access_tokens_list() if it.token_id == token_id)
    return found.registered


async def events(store: Store, event: str) -> list[tuple[str | None, str | None, str | None]]:
    rows = await store.audit_read(limit=100_000)
    return [(row.by, row.reason, row.detail) for row in rows if row.event == event]


async def test_a_token_is_found_by_its_hash_with_its_policy(store: Store) -> None:
    token = new("secret")
    token_id = await create(store, token, most_clients=3)
    found = await store.initial_access_token_read(digest(token), now=NOW)
    assert isinstance(found, o.FoundInitialAccessToken)
    assert found.token.token_id == token_id
    assert found.token.policy == '{"scopes":["openid"]}'
    assert (found.token.most_clients, found.token.registered) == (3, 0)
    assert (found.token.created_by, found.token.expires_at) == (OPERATOR.by, EXPIRES_AT)
    assert not await usable(store, token_id)


async def test_a_token_is_made_once(fresh_store: Store) -> None:
    for _ in range(2):
        await fresh_store.initial_access_token_create(
            "t",
            token_hash=digest("secret"),
            policy="{}",
            most_clients=1,
            expires_at=EXPIRES_AT,
            by=OPERATOR,
            now=NOW,
        )
    assert len(await fresh_store.initial_access_tokens_list()) == 1
    (event,) = await events(fresh_store, "initial_access_token_created")
    assert event[:2] == (OPERATOR.by, OPERATOR.reason)
    assert '"token_id":"t"' in (event[2] or "")


@pytest.mark.parametrize("most_clients", [1, 10])
async def test_a_token_makes_as_many_clients_as_it_is_for_of_many_at_once(
    store: Store, other_store: Store, most_clients: int
) -> None:
    token = new("secret")
    token_id = await create(store, token, most_clients=most_clients)
    stores = [store, other_store] * (MANY // 2)
    answers = await at_once(register(it, token) for it in stores)
    assert kinds(answers) == {o.Created: most_clients, o.Unknown: MANY - most_clients}
    assert await registered(store, token_id) == most_clients
    assert not await usable(store, token)


async def test_the_same_registration_again_takes_no_other_use(store: Store) -> None:
    token, client_id = new("secret"), new("client")
    token_id = await create(store, token)
    assert await register(store, token, client_id=client_id) == o.Created()
    assert await register(store, token, client_id=client_id) == o.Created()
    assert await registered(store, token_id) == 1
    assert await register(store, token) == o.Unknown()


async def test_a_client_belongs_to_no_channel_and_is_managed_by_registration(store: Store) -> None:
    token, client_id = new("secret"), new("client")
    token_id = await create(store, token)
    await register(store, token, client_id=client_id)
    found = await store.client_read(client_id)
    assert isinstance(found, o.FoundClient)
    assert (found.client.channel_id, found.client.source) == ("", "registration")
    assert found.channel == ""
    (event,) = await store.audit_read(limit=100_000, client_id=client_id)
    assert (event.event, event.by) == ("client_registered", None)
    assert event.detail == f'{{"token_id":"{token_id}"}}'


async def test_a_token_is_good_until_it_expires(store: Store) -> None:
    token = new("secret")
    await create(store, token, most_clients=9)
    assert await usable(store, token, now=EXPIRES_AT - 1)
    assert await register(store, token, now=EXPIRES_AT - 1) == o.Created()
    assert not await usable(store, token, now=EXPIRES_AT)
    assert await register(store, token, now=EXPIRES_AT) == o.Unknown()


async def test_a_revoked_token_makes_no_client_and_leaves_those_it_made(store: Store) -> None:
    token, client_id = new("secret"), new("client")
    token_id = await create(store, token, most_clients=9)
    await register(store, token, client_id=client_id)
    before = len(await events(store, "initial_access_token_revoked"))

    assert await revoke(store, token_id) == o.Revoked()
    assert await revoke(store, token_id) == o.Revoked()
    assert await revoke(store, "no such token") == o.Unknown()

    assert not await usable(store, token)
    assert await register(store, token) == o.Unknown()
    assert isinstance(await store.client_read(client_id), o.FoundClient)
    assert len(await events(store, "initial_access_token_revoked")) == before + 1


async def test_an_unknown_token_makes_no_client(store: Store) -> None:
    client_id = new("client")
    # Nor does it fall back to what nobody needs a token for.
    refused = await register(store, "made up", client_id=client_id, most_open=9)
    assert refused == o.Unknown()
    assert await store.client_read(client_id) == o.Unknown()


# Without a token


async def test_there_are_only_so_many_open_clients(fresh_store: Store) -> None:
    answers = await at_once(register(fresh_store, None, most_open=10) for _ in range(MANY))
    assert kinds(answers) == {o.Created: 10, o.Full: MANY - 10}
    assert await register(fresh_store, None, most_open=0) == o.Full()


async def test_an_open_client_that_is_deleted_makes_room(fresh_store: Store) -> None:
    await register(fresh_store, None, client_id="a", most_open=1)
    assert await register(fresh_store, None, most_open=1) == o.Full()
    await fresh_store.client_delete("a", revocation_id="r", by=OPERATOR, now=NOW)
    assert await register(fresh_store, None, most_open=1) == o.Created()


async def test_clients_with_a_token_take_no_place_of_open_ones(fresh_store: Store) -> None:
    await create(fresh_store, "secret", most_clients=5)
    for _ in range(5):
        assert await register(fresh_store, "secret") == o.Created()
    assert await register(fresh_store, None, most_open=1) == o.Created()


async def test_attempts_are_limited(store: Store) -> None:
    limit = KeyedLimit(new("limit"), burst=2, period=100)
    attempts = [await store.registration_attempt(limit, now=NOW) for _ in range(3)]
    assert kinds(attempts) == {o.Permitted: 2, o.Limited: 1}
    assert await store.registration_attempt(limit, now=NOW + 50) == o.Permitted()


# What becomes of it


async def test_all_that_a_registered_client_was_given_ends_with_it(fresh_store: Store) -> None:
    await register(fresh_store, None, client_id="app", most_open=1)
    grant = await open_grant(fresh_store)
    assert await is_alive(fresh_store, grant.grant_id)
    await fresh_store.client_delete("app", revocation_id="r", by=OPERATOR, now=NOW)
    assert not await is_alive(fresh_store, grant.grant_id)


async def test_an_expired_token_is_forgotten(fresh_store: Store, fresh_owner: Owner) -> None:
    await create(fresh_store, "secret")
    assert await fresh_store.sweep(limit=10, now=EXPIRES_AT - 1) == 0
    assert await fresh_store.sweep(limit=10, now=EXPIRES_AT) == 1
    assert await fresh_owner.count("initial_access_token") == 0
