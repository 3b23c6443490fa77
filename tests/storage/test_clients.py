"""Clients one by one: made, changed, removed; and the assertions that prove them."""

import json

import msgspec
import pytest

from storage import outcomes as o
from storage.client_store import ClientChange
from storage.records import By, ClientRow, ResealedClient
from storage.store import Store
from tests.storage.builders import (
    CLIENT,
    MANY,
    NOW,
    Owner,
    at_once,
    is_alive,
    kinds,
    new,
    open_grant,
)

OPERATOR = By("anna@bastion", "asked for")
OPERATOR_FIELDS = (OPERATOR.by, OPERATOR.reason)


def a_client(document: str = "{}") -> ClientRow:
    return ClientRow(new("client"), "", document, "operator")


async def create(store: Store, client: ClientRow, revocation_id: str = "") -> o.ClientCreate:
    return await store.client_create(
        client, revocation_id=revocation_id or new("revocation"), by=OPERATOR, now=NOW
    )


async def update(
    store: Store,
    client_id: str,
    old: str,
    document: str,
    *,
    change: ClientChange = "updated",
    revocation_id: str | None = None,
) -> o.ClientUpdate:
    return await store.client_update(
        client_id,
        old_document=old,
        document=document,
        change=change,
        detail={"changed": ["scope"]},
        revocation_id=revocation_id,
        by=OPERATOR,
        now=NOW,
    )


async def delete(store: Store, client_id: str, revocation_id: str) -> o.ClientDelete:
    return await store.client_delete(client_id, revocation_id=revocation_id, by=OPERATOR, now=NOW)


async def revision(store: Store) -> int:
    return (await store.revisions_read()).get("clients", 0)


async def told(store: Store, client_id: str) -> list[tuple[str, str | None, str | None]]:
    events = await store.audit_read(limit=100_000, client_id=client_id)
    return [(event.event, event.by, event.reason) for event in events]


# Made


async def test_a_client_is_made_once(store: Store) -> None:
    client = a_client('{"secret": 1}')
    before = await revision(store)

    assert await create(store, client) == o.Created()
    assert await create(store, client) == o.Created()
    assert await create(store, msgspec.structs.replace(client, document="{}")) == o.Exists()

    assert await store.client_read(client.client_id) == o.FoundClient(client, "")
    assert await revision(store) == before + 1
    assert await told(store, client.client_id) == [("client_created", *OPERATOR_FIELDS)]


async def test_of_many_who_make_the_same_identifier_one_does(store: Store) -> None:
    client_id = new("client")
    clients = [ClientRow(client_id, "", json.dumps(number), "operator") for number in range(MANY)]
    answers = await at_once(create(store, client) for client in clients)
    assert kinds(answers) == {o.Created: 1, o.Exists: MANY - 1}


async def test_a_client_belongs_to_a_channel_that_there_is(store: Store) -> None:
    client = msgspec.structs.replace(a_client(), channel_id="no-such-channel")
    assert await create(store, client) == o.Unknown()
    assert await store.client_read(client.client_id) == o.Unknown()


# Changed


async def test_a_change_is_made_to_what_the_caller_has_looked_at(store: Store) -> None:
    client = a_client('"old"')
    await create(store, client)
    before = await revision(store)

    assert await update(store, client.client_id, '"older"', '"new"') == o.Stale()
    assert await update(store, client.client_id, '"old"', '"new"') == o.Changed()
    assert await update(store, client.client_id, '"old"', '"new"') == o.Changed()
    assert await update(store, "no-such-client", '"old"', '"new"') == o.Unknown()

    found = await store.client_read(client.client_id)
    assert isinstance(found, o.FoundClient)
    assert found.client == msgspec.structs.replace(client, document='"new"')
    assert await revision(store) == before + 1
    assert [event for event, *_ in await told(store, client.client_id)] == [
        "client_created",
        "client_updated",
    ]


async def test_of_many_who_change_the_same_client_at_once_one_does(store: Store) -> None:
    client = a_client()
    await create(store, client)
    answers = await at_once(
        update(store, client.client_id, "{}", json.dumps(number)) for number in range(MANY)
    )
    assert kinds(answers) == {o.Changed: 1, o.Stale: MANY - 1}


@pytest.mark.parametrize("change", ["updated", "disabled", "enabled", "secret_rotated"])
async def test_every_change_is_told_with_who_and_why(store: Store, change: ClientChange) -> None:
    client = a_client()
    await create(store, client)
    await update(store, client.client_id, "{}", "1", change=change)
    events = await store.audit_read(limit=100_000, client_id=client.client_id)
    assert (events[-1].event, events[-1].by, events[-1].reason) == (
        f"client_{change}",
        *OPERATOR_FIELDS,
    )
    assert events[-1].detail == '{"changed":["scope"]}'


async def test_a_change_with_a_revocation_ends_what_the_client_was_given(
    fresh_store: Store,
) -> None:
    await create(fresh_store, ClientRow(CLIENT, "", "0", "operator"))
    grant = await open_grant(fresh_store)

    await update(fresh_store, CLIENT, "0", "1")
    assert await is_alive(fresh_store, grant.grant_id)
    await update(fresh_store, CLIENT, "1", "2", change="disabled", revocation_id="r")
    assert not await is_alive(fresh_store, grant.grant_id)

    # The repetition of a call must not end what began in between.
    later = await open_grant(fresh_store)
    await update(fresh_store, CLIENT, "1", "2", change="disabled", revocation_id="r")
    assert await is_alive(fresh_store, later.grant_id)


# Removed


async def test_a_client_is_removed_with_all_that_it_was_given(fresh_store: Store) -> None:
    await create(fresh_store, ClientRow(CLIENT, "", "0", "operator"))
    grant = await open_grant(fresh_store)
    before = await revision(fresh_store)

    assert await delete(fresh_store, CLIENT, "r") == o.Deleted()
    assert await delete(fresh_store, CLIENT, "r") == o.Deleted()
    assert await delete(fresh_store, CLIENT, "another") == o.Unknown()
    assert await delete(fresh_store, "no-such-client", "r") == o.Unknown()

    assert await fresh_store.client_read(CLIENT) == o.Unknown()
    assert not await is_alive(fresh_store, grant.grant_id)
    assert await revision(fresh_store) == before + 1
    deletions = [it for it in await told(fresh_store, CLIENT) if it[0] == "client_deleted"]
    assert deletions == [("client_deleted", *OPERATOR_FIELDS)]


async def test_a_client_that_is_made_anew_has_nothing_of_the_one_before(
    fresh_store: Store,
) -> None:
    client = ClientRow(CLIENT, "", "0", "operator")
    await create(fresh_store, client)
    await delete(fresh_store, CLIENT, "r")
    # A worker that has not heard of it yet.
    late = await open_grant(fresh_store)
    await create(fresh_store, client)
    assert not await is_alive(fresh_store, late.grant_id)
    assert await is_alive(fresh_store, (await open_grant(fresh_store)).grant_id)


# Listed


async def test_clients_are_listed_a_page_at_a_time(fresh_store: Store) -> None:
    assert (await fresh_store.clients_page(limit=2)).clients == ()
    clients = tuple(ClientRow(f"c{number}", "", "{}", "operator") for number in range(5))
    for client in reversed(clients):
        await create(fresh_store, client)

    listed: list[ClientRow] = []
    after = ""
    for length in (2, 2, 1):
        page = await fresh_store.clients_page(after=after, limit=2)
        assert len(page.clients) == length
        listed += page.clients
        after = page.after or ""

    assert after == ""
    assert tuple(listed) == clients
    whole = await fresh_store.clients_page(limit=5)
    assert (whole.clients, whole.after) == (clients, None)


# Sealed anew


async def test_a_document_is_sealed_anew_unless_it_has_changed_meanwhile(
    fresh_store: Store,
) -> None:
    one, other = a_client('"a"'), a_client('"b"')
    for client in (one, other):
        await create(fresh_store, client)
    changes = [
        ResealedClient(one.client_id, '"a"', '"sealed anew"'),
        ResealedClient(other.client_id, '"not b"', '"sealed anew"'),
        ResealedClient("no-such-client", '"a"', '"sealed anew"'),
    ]
    before = await revision(fresh_store)

    for resealed in (1, 0):
        done = await fresh_store.reseal([], [], changes, to="k", by=OPERATOR, now=NOW)
        assert done == resealed

    documents = {
        it.client_id: it.document for it in (await fresh_store.clients_page(limit=9)).clients
    }
    assert documents == {one.client_id: '"sealed anew"', other.client_id: '"b"'}
    assert await revision(fresh_store) == before + 1


# Assertions


async def use(store: Store, jti: bytes, *, attempt: str, client_id: str = CLIENT) -> o.AssertionUse:
    return await store.assertion_use(
        client_id=client_id, jti_hash=jti, expires_at=NOW + 60, attempt=attempt, now=NOW
    )


async def test_an_assertion_is_good_for_one_request_of_many_at_once(
    store: Store, other_store: Store
) -> None:
    jti = new("jti").encode()
    stores = [store, other_store] * (MANY // 2)
    answers = await at_once(use(it, jti, attempt=new("attempt")) for it in stores)
    assert kinds(answers) == {o.Accepted: 1, o.UsedBefore: MANY - 1}


async def test_the_same_request_again_is_not_another_use(store: Store) -> None:
    jti = new("jti").encode()
    assert await use(store, jti, attempt="a") == o.Accepted()
    assert await use(store, jti, attempt="a") == o.Accepted()
    assert await use(store, jti, attempt="b") == o.UsedBefore()


async def test_clients_do_not_spend_each_others_identifiers(store: Store) -> None:
    jti = new("jti").encode()
    assert await use(store, jti, attempt="a") == o.Accepted()
    assert await use(store, jti, attempt="b", client_id="another") == o.Accepted()


async def test_an_assertion_is_forgotten_once_it_has_expired(
    fresh_store: Store, fresh_owner: Owner
) -> None:
    for client_id in (CLIENT, "another"):
        await use(fresh_store, b"jti", attempt="a", client_id=client_id)
    assert await fresh_store.sweep(limit=10, now=NOW + 59) == 0
    assert await use(fresh_store, b"jti", attempt="b") == o.UsedBefore()
    assert await fresh_store.sweep(limit=10, now=NOW + 60) == 2
    assert await fresh_owner.count("client_assertion") == 0
