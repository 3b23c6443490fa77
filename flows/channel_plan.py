"""Plans for channels: compared with the store, refused where they break what runs, carried out."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from conf.channels import ChannelEntry
from flows.channel_changes import Difference, Row, difference, sentences
from flows.channel_secrets import SecretKeeper
from flows.channels import ChannelsFault, Rules, as_channel, check
from flows.clients import ClientDocument
from keys.client_secrets import ClientSecretSealer
from keys.errors import SealError
from keys.hashing import random_id
from storage import outcomes as o
from storage.records import By, ChannelRow, ChannelsChange, ChannelsState, ClientRow, RevisedRow
from storage.store import Store

Sealer = Callable[[], ClientSecretSealer]


@dataclass(frozen=True, slots=True)
class Plan:
    """What would become of which rows, and which version of them it was computed against.

    `objections` say, each in a sentence, why it is not to be done without force.
    """

    changes: tuple[ChannelsChange, ...]
    differences: tuple[Difference, ...]
    objections: tuple[str, ...]
    channel_ids: tuple[str, ...]
    client_ids: tuple[str, ...]
    version: str
    undoes: int | None = None


class Refused(Exception):
    """A plan that breaks running clients; `objections` say how."""

    def __init__(self, objections: Sequence[str]) -> None:
        super().__init__("; ".join(objections))
        self.objections = tuple(objections)


class Overtaken(Exception):
    """Somebody has changed what the plan was about; nothing of it was done."""


async def compare(
    store: Store, entries: Sequence[ChannelEntry], rules: Rules, sealer: Sealer
) -> Plan:
    """What would make the store's channels those of `entries`; others stay as they are.

    Raises ChannelsFault, and SealError.
    """
    checked = check(entries, rules)
    channel_ids = [entry.channel_id for entry in entries]
    client_ids = [client.client_id for entry in entries for client in entry.clients]
    state = await store.channels_read(channel_ids, client_ids)
    known = {row.client_id: row for row in state.clients}
    taken = [row.client_id for row in state.clients if row.source == "registration"]
    if taken:
        raise ChannelsFault([f"{it}: is a partner's client, registered by itself" for it in taken])
    keeper = SecretKeeper(sealer, generated=rules.development)
    wanted: dict[tuple[str, str], Row | None] = {
        ("channel", entry.channel_id): ChannelRow(
            entry.channel_id, msgspec.json.encode(as_channel(entry)).decode()
        )
        for entry in entries
    }
    wanted |= {("client", row.client_id): None for row in state.clients}
    for entry in entries:
        for client in entry.clients:
            row = known.get(client.client_id)
            before = _document(row.document) if row else ClientDocument(checked[client.client_id])
            document = msgspec.structs.replace(
                before,  # a client that is disabled stays so
                metadata=checked[client.client_id],
                secrets=await keeper.keep(client, checked[client.client_id], before.secrets),
                platform=client.platform,
            )
            wanted["client", client.client_id] = ClientRow(
                client.client_id, entry.channel_id, document.as_json()
            )
    return _plan(state, wanted, channel_ids=channel_ids, client_ids=client_ids)


async def compare_undone(store: Store, revision: int | None, sealer: Sealer) -> Plan:
    """What would take a revision back, the last one unless it is named.

    Raises ChannelsFault where there is no such revision, or it cannot be taken back any more.
    """
    found = await store.channel_revision_read(revision)
    if isinstance(found, o.Unknown):
        which = "no revision yet" if revision is None else f"no revision {revision} (any more)"
        raise ChannelsFault([f"there is {which}"])
    rows = [(it, _row(it, it.before), _row(it, it.after)) for it in found.changes]
    channel_ids = list(
        dict.fromkeys(row.channel_id for _, *both in rows for row in both if row is not None)
    )
    client_ids = [it.id for it in found.changes if it.kind == "client"]
    state = await store.channels_read(channel_ids, client_ids)
    now = _by_key(state)
    wanted: dict[tuple[str, str], Row | None] = {}
    objections = []
    for change, before, after in rows:
        key = (change.kind, change.id)
        if difference(now.get(key), after) is not None:
            objections.append(
                f"{change.kind} {change.id}: it has changed since revision "
                f"{found.revision.revision}, which would be lost"
            )
        wanted[key] = _restored(before, now.get(key), sealer)
    untouched = {key: row for key, row in now.items() if key not in wanted}
    return _plan(
        state,
        untouched | wanted,
        channel_ids=channel_ids,
        client_ids=client_ids,
        objections=objections,
        undoes=found.revision.revision,
    )


async def carry_out(
    store: Store, make: Callable[[], Awaitable[Plan]], *, force: bool, by: By, now: int
) -> tuple[Plan, int | None]:
    """Do what is planned: the plan and its revision, or None where there was nothing to do.

    The store decides at that moment whether it is still as the plan saw it. Raises Refused for what
    breaks running clients unless `force` says that it is meant, Overtaken, and ChannelsFault.
    """
    plan = await make()
    try:
        return plan, await _carry_out(store, plan, force=force, by=by, now=now)
    except Overtaken:
        again = await make()
        if again.changes:
            raise
        return again, None  # somebody else has done the very same


async def _carry_out(store: Store, plan: Plan, *, force: bool, by: By, now: int) -> int | None:
    if not plan.changes:
        return None
    if plan.objections and not force:
        raise Refused(plan.objections)
    applied = await store.channels_apply(
        plan.changes,
        channel_ids=plan.channel_ids,
        client_ids=plan.client_ids,
        version=plan.version,
        forced=bool(plan.objections),
        undoes=plan.undoes,
        attempt=random_id(),
        by=by,
        now=now,
    )
    match applied:
        case o.Applied(revision=revision):
            return revision
        case o.InUse(client_id=client_id):
            raise ChannelsFault([f"{client_id}: would be left without its channel"])
        case o.Stale():
            raise Overtaken


def revised(found: o.FoundRevision) -> tuple[Difference, ...]:
    """What a revision changed."""
    rows = ((_row(it, it.before), _row(it, it.after)) for it in found.changes)
    differences = (difference(before, after) for before, after in rows)
    return tuple(it for it in differences if it is not None)


def _plan(
    state: ChannelsState,
    wanted: Mapping[tuple[str, str], Row | None],
    *,
    channel_ids: Iterable[str],
    client_ids: Iterable[str],
    objections: Iterable[str] = (),
    undoes: int | None = None,
) -> Plan:
    known = _by_key(state)
    found = {key: difference(known.get(key), row) for key, row in wanted.items()}
    differences = tuple(it for it in found.values() if it is not None)
    return Plan(
        changes=tuple(ChannelsChange(it.kind, it.id, wanted[it.kind, it.id]) for it in differences),
        differences=differences,
        objections=(*objections, *sentences(differences)) if differences else (),
        channel_ids=tuple(channel_ids),
        client_ids=tuple(client_ids),
        version=state.version,
        undoes=undoes,
    )


def _by_key(state: ChannelsState) -> dict[tuple[str, str], Row]:
    channels: dict[tuple[str, str], Row] = {("channel", it.channel_id): it for it in state.channels}
    return channels | {("client", it.client_id): it for it in state.clients}


def _row(change: RevisedRow, members: Mapping[str, Any] | None) -> Row | None:
    if members is None:
        return None
    if change.kind == "channel":
        return msgspec.convert(members, ChannelRow)
    return msgspec.convert(members, ClientRow)


def _restored(before: Row | None, now: Row | None, sealer: Sealer) -> Row | None:
    """What was before, but for what is not a matter of channels files."""
    if not isinstance(before, ClientRow):
        return before
    document = _document(before.document)
    disabled = isinstance(now, ClientRow) and _document(now.document).disabled
    try:
        secrets = tuple(
            msgspec.structs.replace(
                it, sealed=sealer().reseal(before.client_id, it.sealed) or it.sealed
            )
            if it.sealed is not None
            else it
            for it in document.secrets
        )
    except SealError as error:
        raise ChannelsFault([f"{before.client_id}: its secret cannot be had: {error}"]) from error
    restored = msgspec.structs.replace(document, disabled=disabled, secrets=secrets)
    return msgspec.structs.replace(before, document=restored.as_json())


def _document(text: str) -> ClientDocument:
    return msgspec.json.decode(text, type=ClientDocument)
