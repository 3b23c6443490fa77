"""How changes of channels are shown: as JSON for scripts, with + - ~ for people."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from flows.channel_changes import Difference, Member, members_of
from flows.channel_plan import Plan
from idp.commands.terminal import moment, table
from storage.records import ChannelRevision, ChannelRow, ChannelsState, ClientRow

_SIGNS = {"added": "+", "changed": "~", "removed": "-"}
_MOST_NAMES = 4


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """What changes, and what speaks against it."""
    return {
        "differences": [dataclasses.asdict(it) for it in plan.differences],
        "objections": plan.objections,
    }


def plan_as_text(plan: Plan, revision: int | None = None) -> str:
    """The same for people; `revision` is what it has become."""
    if not plan.differences:
        return "nothing to change"
    lines = [*_lines(plan.differences, additions=revision is None)]
    if revision is not None:
        lines += ["", f"applied as revision {revision}"]
    elif plan.objections:
        lines += ["", "refused without --force:", *(f"! {it}" for it in plan.objections)]
    return "\n".join(lines)


def history_as_json(revisions: Sequence[ChannelRevision]) -> list[dict[str, Any]]:
    """Who changed what, when and why."""
    listed: list[dict[str, Any]] = msgspec.to_builtins(revisions)
    return listed


def history_as_text(revisions: Sequence[ChannelRevision]) -> str:
    """The same, one line for each revision, the newest first."""
    if not revisions:
        return "nothing has been applied yet"
    return table(
        ("REVISION", "AT (UTC)", "BY", "WHAT", "WHY"),
        [
            (str(it.revision), moment(it.at), it.by, _summary(it), it.reason or "-")
            for it in revisions
        ],
    )


def revision_as_json(
    revision: ChannelRevision, differences: Sequence[Difference]
) -> dict[str, Any]:
    """All about one revision."""
    told: dict[str, Any] = msgspec.to_builtins(revision)
    del told["changed"]
    return told | {"differences": [dataclasses.asdict(it) for it in differences]}


def revision_as_text(revision: ChannelRevision, differences: Sequence[Difference]) -> str:
    """The same for people."""
    head = [f"revision {revision.revision}, {moment(revision.at)}, by {revision.by}"]
    head += [f"undoes revision {revision.undoes}"] if revision.undoes is not None else []
    head += ["forced"] if revision.forced else []
    head += [f"reason: {revision.reason}"] if revision.reason is not None else []
    return "\n".join([*head, "", *_lines(differences)])


def channels_as_json(state: ChannelsState) -> list[dict[str, Any]]:
    """Channels with the clients that files manage."""
    return [
        {
            "channel_id": channel.channel_id,
            **members_of(channel),
            "clients": [
                {"client_id": client.client_id, **members_of(client)}
                for client in _clients(state, channel)
            ],
        }
        for channel in state.channels
    ]


def channels_as_text(state: ChannelsState) -> str:
    """The same, one line for each channel."""
    if not state.channels:
        return "there are no channels yet: idp channels apply FILE"
    rows = []
    for channel in state.channels:
        said = members_of(channel)
        clients = ", ".join(client.client_id for client in _clients(state, channel))
        rows.append((channel.channel_id, said["title"], " ".join(said["locales"]), clients))
    return table(("CHANNEL", "NAME", "LOCALES", "CLIENTS"), rows)


def channel_as_text(state: ChannelsState) -> str:
    """All about the only channel."""
    lines = []
    for channel in state.channels:
        lines += [f"channel {channel.channel_id}", *_said(channel)]
        for client in _clients(state, channel):
            lines += [f"client {client.client_id}", *_said(client)]
    return "\n".join(lines)


def _said(row: ChannelRow | ClientRow) -> list[str]:
    return [f"    {name}: {_value(value)}" for name, value in members_of(row).items()]


def _clients(state: ChannelsState, channel: ChannelRow) -> list[ClientRow]:
    return [client for client in state.clients if client.channel_id == channel.channel_id]


def _lines(differences: Sequence[Difference], *, additions: bool = True) -> Iterator[str]:
    for it in differences:
        where = f" of {it.channel_id}" if it.kind == "client" else ""
        yield f"{_SIGNS[it.what]} {it.kind} {it.id}{where}"
        if additions or it.what != "added":
            yield from (f"    {_line(member)}" for member in it.members)


def _line(member: Member) -> str:
    if member.old in (None, "", []):
        return f"+ {member.name}: {_value(member.new)}"
    if member.new in (None, "", []):
        return f"- {member.name}: {_value(member.old)}"
    return f"~ {member.name}: {_value(member.old)} -> {_value(member.new)}"


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _summary(revision: ChannelRevision) -> str:
    named = [f"{_SIGNS[it.what]}{it.id}" for it in revision.changed]
    rest = [f"and {len(named) - _MOST_NAMES} more"] if len(named) > _MOST_NAMES else []
    undoes = [f"(undoes {revision.undoes})"] if revision.undoes is not None else []
    forced = ["(forced)"] if revision.forced else []
    return " ".join([*named[:_MOST_NAMES], *rest, *undoes, *forced])
