"""A service's own tokens have no rows: their epoch and time say whether something ended them."""

import pytest

from keys.hashing import sha256
from storage import outcomes as o
from storage.records import By, ClientRow
from storage.store import Store
from tests.storage.builders import CLIENT, NOW, Grant, new, open_grant, successor
from tests.storage.test_revocations import BY, revoke


@pytest.fixture
async def client_id(store: Store) -> str:
    client = ClientRow(new("client"), "", "{}", "operator")
    await store.client_create(client, revocation_id=new("revocation"), by=BY, now=NOW)
    return client.client_id


async def read(
    store: Store, client_id: str, epoch: int, jti: str = "1~a", issued_at: int = NOW
) -> o.ServiceTokenRead:
    return await store.service_token_read(
        jti=jti, client_id=client_id, epoch=epoch, issued_at=issued_at
    )


async def test_a_revocation_of_its_client_ends_a_token_of_the_same_second(
    store: Store, client_id: str
) -> None:
    before = await store.revocation_epoch()
    assert await read(store, client_id, before) == o.ServiceActive()

    await revoke(store, "client", client_id)

    assert await read(store, client_id, before) == o.Inactive()
    assert await read(store, client_id, await store.revocation_epoch()) == o.ServiceActive()


async def test_a_revocation_of_everybody_ends_it_and_one_of_another_client_does_not(
    store: Store, client_id: str
) -> None:
    epoch = await store.revocation_epoch()

    await revoke(store, "client", "another")
    assert await read(store, client_id, epoch) == o.ServiceActive()
    await revoke(store, "everybody")
    assert await read(store, client_id, epoch) == o.Inactive()


async def test_a_token_of_a_client_that_is_gone_is_not_active(store: Store) -> None:
    assert await read(store, "nobody", await store.revocation_epoch()) == o.Inactive()


async def test_one_token_is_taken_back_and_the_others_stay(store: Store, client_id: str) -> None:
    epoch = await store.revocation_epoch()
    jti, other = f"{epoch}~{new('a')}", f"{epoch}~{new('b')}"

    for _ in range(2):
        await store.service_token_revoke(
            jti=jti, client_id=client_id, expires_at=NOW + 300, now=NOW
        )

    assert await read(store, client_id, epoch, jti) == o.Inactive()
    assert await read(store, client_id, epoch, other) == o.ServiceActive()


async def test_an_operator_takes_one_back_by_its_identifier_alone(
    store: Store, client_id: str
) -> None:
    epoch = await store.revocation_epoch()
    jti = f"{epoch}~{new('c')}"

    withdrawn = await store.access_token_withdraw(
        grant_id="", jti=jti, by=By("anna@bastion", "found in a log"), now=NOW
    )

    assert withdrawn == o.Revoked()
    assert await read(store, client_id, epoch, jti) == o.Inactive()


async def read_refresh(
    store: Store, grant: Grant, token: str, now: int = NOW, **changed: str
) -> o.RefreshTokenRead:
    known = {"grant_id": grant.grant_id, "client_id": CLIENT} | changed
    return await store.refresh_token_read(presented_hash=sha256(token), now=now, **known)


async def test_only_the_current_refresh_token_is_active_and_only_for_its_client(
    store: Store,
) -> None:
    grant = await open_grant(store)
    first = grant.token

    found = await read_refresh(store, grant, first)
    assert isinstance(found, o.FoundRefreshToken)
    assert found.sub == grant.sub
    assert await read_refresh(store, grant, first, client_id="another") == o.Inactive()
    assert await read_refresh(store, grant, first, grant_id="nothing") == o.Inactive()
    assert await read_refresh(store, grant, successor(first)) == o.Inactive()
    assert await read_refresh(store, grant, first, now=found.expires_at) == o.Inactive()
    assert isinstance(
        await read_refresh(store, grant, first, now=found.expires_at - 1), o.FoundRefreshToken
    )
