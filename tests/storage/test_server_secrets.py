"""Server secrets have versions without gaps, and sealed values change hands only as a whole."""

from storage.records import By, ResealedKey, ResealedSecret, ServerSecretRow
from storage.store import Store
from tests.storage.builders import MANY, NOW, at_once, new
from tests.storage.test_signing_keys import begin

OPERATOR = By("anna@bastion", "drill")


def new_secret(name: str = "otp", version: int = 1) -> ServerSecretRow:
    return ServerSecretRow(name, version, new("sealed"), NOW)


async def add(store: Store, secret: ServerSecretRow, now: int = NOW) -> list[ServerSecretRow]:
    return await store.server_secret_add(secret, by=OPERATOR, now=now)


async def test_an_empty_store_has_no_secrets(fresh_store: Store) -> None:
    assert await fresh_store.server_secrets() == []


async def test_many_add_their_secret_at_once_and_all_see_the_one_that_won(
    fresh_store: Store,
) -> None:
    answers = await at_once(add(fresh_store, new_secret()) for _ in range(MANY))

    assert len(answers[0]) == 1
    assert answers == [answers[0]] * MANY
    assert await fresh_store.revisions_read() == {"keys": 1}


async def test_a_new_version_supersedes_the_one_before_it(fresh_store: Store) -> None:
    first, second = new_secret(version=1), new_secret(version=2)
    await add(fresh_store, first)

    versions = await add(fresh_store, second, NOW + 60)

    assert [(row.version, row.superseded_at) for row in versions] == [(1, NOW + 60), (2, None)]
    event = (await fresh_store.audit_read())[-1]
    assert (event.event, event.by, event.reason) == (
        "server_secret_added",
        "anna@bastion",
        "drill",
    )


async def test_versions_have_no_gaps(fresh_store: Store) -> None:
    await add(fresh_store, new_secret(version=1))

    assert [row.version for row in await add(fresh_store, new_secret(version=3))] == [1]


async def test_of_many_that_rotate_a_secret_at_once_one_wins(fresh_store: Store) -> None:
    await add(fresh_store, new_secret(version=1))

    answers = await at_once(add(fresh_store, new_secret(version=2)) for _ in range(MANY))

    assert len(answers[0]) == 2
    assert answers == [answers[0]] * MANY


async def test_superseded_versions_are_removed_and_the_newest_stays(fresh_store: Store) -> None:
    for version in (1, 2):
        await add(fresh_store, new_secret(version=version), NOW + version)

    async def tend(before: int) -> int:
        return await fresh_store.server_secrets_tend(superseded_before=before, now=NOW + 100)

    assert await tend(NOW + 1) == 0
    assert await tend(NOW + 2) == 1
    assert await tend(NOW + 1_000_000) == 0
    assert [row.version for row in await fresh_store.server_secrets()] == [2]


async def test_resealing_changes_what_is_still_as_it_was_and_nothing_else(
    fresh_store: Store,
) -> None:
    active, waiting = await begin(fresh_store)
    secret = new_secret()
    await add(fresh_store, secret)
    assert active.sealed_private is not None
    assert waiting.sealed_private is not None
    keys = [
        ResealedKey(active.kid, "sealed_private", active.sealed_private, "new private"),
        ResealedKey(waiting.kid, "sealed_private", "something else", "never"),
        ResealedKey("nobody", "sealed_private", "something else", "never"),
    ]
    secrets = [
        ResealedSecret("otp", 1, secret.sealed, "new secret"),
        ResealedSecret("otp", 2, secret.sealed, "never"),
    ]

    async def reseal() -> int:
        return await fresh_store.reseal(keys, secrets, to="2027", by=OPERATOR, now=NOW)

    revisions = await fresh_store.revisions_read()
    assert await reseal() == 2
    assert (await fresh_store.revisions_read()) != revisions
    assert await reseal() == 0
    rows = {row.kid: row for row in await fresh_store.signing_keys()}
    assert rows[active.kid].sealed_private == "new private"
    assert rows[active.kid].sealed_public == active.sealed_public
    assert rows[waiting.kid] == waiting
    assert [row.sealed for row in await fresh_store.server_secrets()] == ["new secret"]
