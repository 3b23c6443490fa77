"""Channels and clients: applied as a whole, and a revision for whoever keeps copies."""

from storage import outcomes as o
from storage.records import ChannelRow, ClientRow
from storage.store import Store
from tests.storage.builders import MANY, NOW, at_once

BAKERY = ChannelRow("bakery", '{"name": "Bakery"}')
DAIRY = ChannelRow("dairy", '{"name": "Dairy"}')
APP = ClientRow("bakery-app", "bakery", '{"scope": "openid"}')
SITE = ClientRow("bakery-site", "bakery", "{}")
BOT = ClientRow("dairy-bot", "dairy", "{}")


async def apply(
    store: Store, channels: tuple[ChannelRow, ...], *clients: ClientRow
) -> o.ChannelsChange:
    return await store.channels_apply(channels, clients, by="test", now=NOW)


async def test_an_empty_store_has_no_channels(fresh_store: Store) -> None:
    assert await fresh_store.clients_list() == ()
    assert await fresh_store.client_read("bakery-app") == o.Unknown()
    assert await fresh_store.channel_read("bakery") == o.Unknown()
    assert await fresh_store.revisions_read() == {}


async def test_channels_become_what_is_applied(fresh_store: Store) -> None:
    change = await apply(fresh_store, (BAKERY, DAIRY), APP, BOT)

    assert change == o.ChannelsChange(added=("bakery", "dairy", "bakery-app", "dairy-bot"))
    assert await fresh_store.clients_list() == (APP, BOT)
    assert await fresh_store.channel_read("dairy") == o.FoundChannel(DAIRY.document)
    found = await fresh_store.client_read("bakery-app")
    assert found == o.FoundClient(APP, BAKERY.document)


async def test_applying_the_same_again_changes_nothing(fresh_store: Store) -> None:
    await apply(fresh_store, (BAKERY,), APP)

    change = await apply(fresh_store, (BAKERY,), APP)

    assert change == o.ChannelsChange(unchanged=2)
    assert await fresh_store.revisions_read() == {"clients": 1}
    told = [event.event for event in await fresh_store.audit_read()]
    assert told == ["channels_applied"]


async def test_a_client_that_is_not_given_any_more_goes(fresh_store: Store) -> None:
    await apply(fresh_store, (BAKERY,), APP, SITE)

    change = await apply(fresh_store, (BAKERY,), SITE)

    assert change == o.ChannelsChange(removed=("bakery-app",), unchanged=2)
    assert await fresh_store.client_read("bakery-app") == o.Unknown()
    assert await fresh_store.revisions_read() == {"clients": 2}


async def test_a_changed_document_is_changed(fresh_store: Store) -> None:
    await apply(fresh_store, (BAKERY,), APP)
    renamed = ChannelRow("bakery", '{"name": "The bakery"}')

    assert await apply(fresh_store, (renamed,), APP) == o.ChannelsChange(
        changed=("bakery",), unchanged=1
    )
    assert await fresh_store.client_read("bakery-app") == o.FoundClient(APP, renamed.document)


async def test_a_channel_that_is_not_named_stays_as_it_is(fresh_store: Store) -> None:
    await apply(fresh_store, (BAKERY, DAIRY), APP, BOT)

    change = await apply(fresh_store, (BAKERY,), APP)

    assert change == o.ChannelsChange(unchanged=2)
    assert await fresh_store.clients_list() == (APP, BOT)


async def test_a_client_moves_to_another_channel_with_the_same_document(
    fresh_store: Store,
) -> None:
    await apply(fresh_store, (BAKERY, DAIRY), APP)
    moved = ClientRow(APP.client_id, "dairy", APP.document)

    change = await apply(fresh_store, (BAKERY, DAIRY), moved)

    assert change == o.ChannelsChange(changed=("bakery-app",), unchanged=2)
    assert await fresh_store.client_read("bakery-app") == o.FoundClient(moved, DAIRY.document)


async def test_many_apply_the_same_at_once_and_one_changes_something(fresh_store: Store) -> None:
    changes = await at_once(apply(fresh_store, (BAKERY,), APP) for _ in range(MANY))

    assert sum(change != o.ChannelsChange(unchanged=2) for change in changes) == 1
    assert await fresh_store.revisions_read() == {"clients": 1}
