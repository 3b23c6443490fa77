"""Channels as configuration: compared, applied as a whole by one of many, kept, and undone."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from storage import outcomes as o
from storage.records import (
    By,
    ChangedRow,
    ChannelRow,
    ChannelsChange,
    ChannelsState,
    ClientRow,
    RevisedRow,
)
from storage.store import Store
from tests.storage.builders import MANY, NOW, Owner, at_once, kinds, new

BAKERY = ChannelRow("bakery", '{"name": "Bakery"}')
DAIRY = ChannelRow("dairy", '{"name": "Dairy"}')
APP = ClientRow("bakery-app", "bakery", '{"scope": "openid"}')
SITE = ClientRow("bakery-site", "bakery", "{}")
BOT = ClientRow("dairy-bot", "dairy", "{}")
OPERATOR = By("ann@host", "a new shop")


def put(row: ChannelRow | ClientRow) -> ChannelsChange:
    if isinstance(row, ClientRow):
        return ChannelsChange("client", row.client_id, row)
    return ChannelsChange("channel", row.channel_id, row)


def puts(*rows: ChannelRow | ClientRow) -> list[ChannelsChange]:
    return [put(row) for row in rows]


def drop(row: ChannelRow | ClientRow) -> ChannelsChange:
    return msgspec.structs.replace(put(row), row=None)


def members(row: ChannelRow | ClientRow) -> Mapping[str, Any]:
    return msgspec.structs.asdict(row)


async def read(store: Store, *channel_ids: str, clients: Sequence[str] = ()) -> ChannelsState:
    return await store.channels_read(channel_ids, clients)


async def apply(
    store: Store,
    *changes: ChannelsChange,
    version: str | None = None,
    attempt: str | None = None,
    undoes: int | None = None,
) -> o.ChannelsApply:
    """Apply changes as somebody who has looked at them just now, or at another version."""
    channels = [change.id for change in changes if change.kind == "channel"]
    clients = [change.id for change in changes if change.kind == "client"]
    if version is None:
        version = (await read(store, *channels, clients=clients)).version
    return await store.channels_apply(
        changes,
        channel_ids=channels,
        client_ids=clients,
        version=version,
        attempt=attempt or new("attempt"),
        undoes=undoes,
        by=OPERATOR,
        now=NOW,
    )


async def test_an_empty_store_has_no_channels(fresh_store: Store) -> None:
    assert await fresh_store.channels_list() == ()
    state = await read(fresh_store, "bakery", clients=["bakery-app"])
    assert (state.channels, state.clients) == ((), ())
    assert await fresh_store.client_read("bakery-app") == o.Unknown()
    assert await fresh_store.channel_read("bakery") == o.Unknown()
    assert await fresh_store.revisions_read() == {}
    assert await fresh_store.channel_revisions() == ()
    assert await fresh_store.channel_revision_read() == o.Unknown()


async def test_channels_become_what_is_applied(fresh_store: Store) -> None:
    assert await apply(fresh_store, *puts(BAKERY, DAIRY, APP, BOT)) == o.Applied(1)

    assert await fresh_store.channels_list() == (BAKERY, DAIRY)
    assert await fresh_store.channel_read("dairy") == o.FoundChannel(DAIRY.document)
    assert await fresh_store.client_read("bakery-app") == o.FoundClient(APP, BAKERY.document)
    assert await fresh_store.revisions_read() == {"clients": 1}


async def test_channels_are_compared_with_the_clients_that_files_manage(
    fresh_store: Store,
) -> None:
    await apply(fresh_store, *puts(BAKERY, DAIRY, APP, BOT))
    made = ClientRow("by-hand", "bakery", "{}", "operator")
    await fresh_store.client_create(made, revocation_id=new("revocation"), by=OPERATOR, now=NOW)

    state = await read(fresh_store, "bakery")

    assert (state.channels, state.clients) == ((BAKERY,), (APP,))
    assert (await read(fresh_store, clients=["by-hand", "dairy-bot"])).clients == (made, BOT)


async def test_what_is_not_named_stays_and_what_is_dropped_goes(fresh_store: Store) -> None:
    await apply(fresh_store, *puts(BAKERY, DAIRY, APP, SITE, BOT))

    assert await apply(fresh_store, drop(APP)) == o.Applied(2)

    assert await fresh_store.client_read("bakery-app") == o.Unknown()
    assert await fresh_store.channels_list() == (BAKERY, DAIRY)
    assert (await read(fresh_store, "bakery", "dairy")).clients == (SITE, BOT)
    assert await apply(fresh_store, drop(BOT), drop(DAIRY)) == o.Applied(3)
    assert await fresh_store.channels_list() == (BAKERY,)


async def test_a_client_moves_to_another_channel(fresh_store: Store) -> None:
    await apply(fresh_store, *puts(BAKERY, DAIRY, APP))
    moved = ClientRow(APP.client_id, "dairy", APP.document)

    await apply(fresh_store, put(moved))

    assert await fresh_store.client_read("bakery-app") == o.FoundClient(moved, DAIRY.document)


async def test_whoever_compared_with_what_is_no_longer_there_is_told(fresh_store: Store) -> None:
    await apply(fresh_store, put(BAKERY), put(APP))
    seen = (await read(fresh_store, "bakery")).version
    changes: tuple[ChannelsChange, ...] = (
        put(ChannelRow("bakery", "{}")),
        put(ClientRow(APP.client_id, "bakery", "{}")),
        put(SITE),
        drop(APP),
    )
    for change in changes:
        before = await read(fresh_store, "bakery")
        await apply(fresh_store, change)
        refused = await apply(fresh_store, put(BAKERY), version=before.version)
        assert refused == o.Stale()
    assert await apply(fresh_store, put(BAKERY), version=seen) == o.Stale()
    # What others do to other channels is none of its business.
    state = await read(fresh_store, "bakery")
    await apply(fresh_store, put(DAIRY))
    assert await read(fresh_store, "bakery") == state


async def test_of_many_who_apply_at_once_one_does_and_the_others_are_told(
    fresh_store: Store,
) -> None:
    version = (await read(fresh_store, "bakery")).version
    rows = [ChannelRow("bakery", str(number)) for number in range(MANY)]

    answers = await at_once(apply(fresh_store, put(row), version=version) for row in rows)

    assert kinds(answers) == {o.Applied: 1, o.Stale: MANY - 1}
    won = rows[[isinstance(answer, o.Applied) for answer in answers].index(True)]
    assert await fresh_store.channel_read("bakery") == o.FoundChannel(won.document)
    assert len(await fresh_store.channel_revisions()) == 1
    assert await fresh_store.revisions_read() == {"clients": 1}


async def test_the_same_call_again_has_the_same_answer_and_no_other_effect(
    fresh_store: Store,
) -> None:
    version = (await read(fresh_store, "bakery")).version

    answers = await at_once(
        apply(fresh_store, put(BAKERY), version=version, attempt="one") for _ in range(MANY)
    )

    assert set(map(repr, answers)) == {repr(o.Applied(1))}
    assert len(await fresh_store.channel_revisions()) == 1
    assert len(await fresh_store.audit_read()) == 1


async def test_a_revision_tells_who_when_why_and_what(fresh_store: Store) -> None:
    await apply(fresh_store, put(BAKERY), put(APP))
    renamed = ChannelRow("bakery", '{"name": "The bakery"}')
    await apply(fresh_store, put(renamed), drop(APP), undoes=1)

    second, first = await fresh_store.channel_revisions()

    assert (second.revision, second.at, second.by, second.reason) == (
        (2, NOW, OPERATOR.by, OPERATOR.reason)
    )
    assert (second.undoes, first.undoes) == (1, None)
    assert second.changed == (
        ChangedRow("channel", "bakery", "bakery", "changed"),
        ChangedRow("client", "bakery-app", "bakery", "removed"),
    )
    assert [it.what for it in first.changed] == ["added", "added"]
    found = await fresh_store.channel_revision_read(2)
    assert isinstance(found, o.FoundRevision)
    assert found == await fresh_store.channel_revision_read()
    assert found.changes == (
        RevisedRow("channel", "bakery", members(BAKERY), members(renamed)),
        RevisedRow("client", "bakery-app", members(APP), None),
    )
    assert await fresh_store.channel_revision_read(3) == o.Unknown()


async def test_the_audit_trail_tells_of_a_revision_by_its_names_alone(fresh_store: Store) -> None:
    await apply(fresh_store, put(BAKERY), put(APP))

    (event,) = await fresh_store.audit_read()

    assert (event.event, event.by, event.reason) == (
        ("channels_applied", OPERATOR.by, OPERATOR.reason)
    )
    assert msgspec.json.decode(event.detail or "") == {
        "revision": 1,
        "added": ["bakery", "bakery-app"],
        "changed": [],
        "removed": [],
    }


async def test_the_last_hundred_revisions_are_kept(fresh_store: Store, fresh_owner: Owner) -> None:
    for number in range(103):
        await apply(fresh_store, put(ChannelRow("bakery", str(number))))

    revisions = await fresh_store.channel_revisions()

    assert [it.revision for it in revisions] == list(range(103, 3, -1))
    assert await fresh_owner.count("channel_change") == 100
    assert await fresh_store.channel_revision_read(3) == o.Unknown()
    assert isinstance(await fresh_store.channel_revision_read(4), o.FoundRevision)
