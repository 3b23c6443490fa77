"""Rows of signing keys and server secrets: whoever comes first decides, and all see the same."""

from storage.records import ServerSecretRow, SigningKeyRow
from storage.store import Store
from tests.storage.builders import MANY, NOW, at_once, new


def new_key(alg: str = "ES256", state: str = "active") -> SigningKeyRow:
    return SigningKeyRow(new("kid"), alg, state, {"kty": "EC"}, "sealed", NOW)


def new_secret(name: str = "otp", version: int = 1) -> ServerSecretRow:
    return ServerSecretRow(name, version, new("sealed"), NOW)


async def test_an_empty_store_has_no_keys(fresh_store: Store) -> None:
    assert await fresh_store.signing_keys() == []
    assert await fresh_store.server_secrets() == []


async def test_a_key_comes_back_as_it_went(fresh_store: Store) -> None:
    key = new_key()

    assert await fresh_store.signing_key_add(key, NOW) == [key]
    assert await fresh_store.signing_keys() == [key]


async def test_each_algorithm_has_its_active_key(fresh_store: Store) -> None:
    keys = [new_key("ES256"), new_key("RS256")]

    for key in keys:
        await fresh_store.signing_key_add(key, NOW)

    assert await fresh_store.signing_keys() == keys


async def test_many_add_their_key_at_once_and_all_see_the_one_that_won(fresh_store: Store) -> None:
    answers = await at_once(fresh_store.signing_key_add(new_key(), NOW) for _ in range(MANY))

    assert len(answers[0]) == 1
    assert answers == [answers[0]] * MANY
    assert await fresh_store.revisions_read() == {"keys": 1}
    assert [event.event for event in await fresh_store.audit_read()] == ["signing_key_added"]


async def test_many_add_their_secret_at_once_and_all_see_the_one_that_won(
    fresh_store: Store,
) -> None:
    answers = await at_once(fresh_store.server_secret_add(new_secret(), NOW) for _ in range(MANY))

    assert len(answers[0]) == 1
    assert answers == [answers[0]] * MANY
    assert await fresh_store.revisions_read() == {"keys": 1}


async def test_a_secret_has_versions(fresh_store: Store) -> None:
    secrets = [new_secret("csrf", 1), new_secret("otp", 1), new_secret("otp", 2)]

    for secret in reversed(secrets):
        await fresh_store.server_secret_add(secret, NOW)

    assert await fresh_store.server_secrets() == secrets
