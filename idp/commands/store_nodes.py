"""`idp store status`, `promote`, `rejoin`, `watch`: the nodes of a store that runs elsewhere."""

import asyncio
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from conf import settings as configuration
from conf.model import Address, StoreSettings
from idp.commands.operating import actor, now
from idp.commands.terminal import CommandError, Json, NeededReason, examples, show, span, table
from storage.errors import NodeError
from storage.owner import Owner
from storage.replica_set import NodeReport, NodeState, ReplicaSet

app = typer.Typer()

Config = Annotated[Path, typer.Option(help="The settings file (TOML).")]
OwnerPassword = Annotated[
    Path, typer.Option(help="The file with the password of the store's user `owner`.")
]
Name = Annotated[str, typer.Argument(help="The node, by its IDP_STORE_NAME.")]

_WATCH_SECONDS = 0.5
_TURN_SECONDS = 1.0
_MEBIBYTE = 1024 * 1024


@app.command(
    epilog=examples(
        "idp store status --config production.toml --owner-password /etc/idp/store-owner-password",
        "idp store status --config production.toml --owner-password owner --json",
    )
)
def status(*, config: Config, owner_password: OwnerPassword, as_json: Json = False) -> None:
    """Show the nodes: who leads, who follows how closely, schema, memory, rows.

    The exit code is 1 unless exactly one node leads and all answer.
    """
    topology, nodes = _replica_set(config, owner_password)
    states, reports = asyncio.run(_look(nodes))
    leaders = [report for report in reports.values() if report.leads]
    show(
        {
            "topology": topology,
            "writer": next((name for name, it in _named(states, reports) if it.leads), None),
            "nodes": [_node(at, states.get(at), reports.get(at)) for at in nodes.addresses],
        },
        _table(nodes, states, reports),
        as_json=as_json,
    )
    raise typer.Exit(0 if len(leaders) == 1 and len(reports) == len(nodes.addresses) else 1)


@app.command(
    epilog=examples(
        'idp store promote --config production.toml --owner-password owner --reason "b burns"',
        "idp store promote --config production.toml --owner-password owner --node c --reason ...",
    )
)
def promote(
    *,
    config: Config,
    owner_password: OwnerPassword,
    node: Annotated[
        str | None, typer.Option(help="The node that is to lead, unless another one holds more.")
    ] = None,
    reason: NeededReason,
    as_json: Json = False,
) -> None:
    """Make a node lead: the one that holds most.

    A majority of nodes stops following the writer before, so that it cannot acknowledge anything
    any more. While a node leads, --node says to whom it hands over. A node of a later version
    brings the store to it first, which is waited for.
    """
    nodes = _several(config, owner_password)
    lead = asyncio.run(nodes.promote(node, by=actor(), reason=reason))
    show(
        {"writer": lead.name, "term": lead.promised},
        f"{lead.name} leads, in term {lead.promised}",
        as_json=as_json,
    )


@app.command(
    epilog=examples(
        'idp store rejoin a --config production.toml --owner-password owner --reason "back again"'
    )
)
def rejoin(
    node: Name,
    *,
    config: Config,
    owner_password: OwnerPassword,
    reason: NeededReason,
    as_json: Json = False,
) -> None:
    """Have a node set its files aside and end; started again, it joins anew.

    For a node that `idp store status` shows as outdated: it may hold what was never acknowledged.
    """
    nodes = _several(config, owner_password)
    asyncio.run(nodes.rejoin(node, by=actor(), reason=reason))
    show(
        {"node": node},
        f"{node} sets its files aside and ends; its service manager starts it again",
        as_json=as_json,
    )


@app.command(
    epilog=examples(
        "idp store watch --config production.toml --owner-password owner --name watcher-1",
        "idp store watch --config production.toml --owner-password owner --name w2 --seconds 5",
    )
)
def watch(
    *,
    config: Config,
    owner_password: OwnerPassword,
    name: Annotated[str, typer.Option(help="This watcher's name; each has one of its own.")],
    seconds: Annotated[float, typer.Option(help="How long nobody leads before it acts.")] = 3.0,
) -> None:
    """Promote a node when nobody leads, as soon as a majority of the watchers agrees.

    A node leads as long as a majority of the nodes acknowledges it, whoever else reaches it.
    Run one watcher beside each node. Runs until it is stopped.
    """
    nodes = _several(config, owner_password)
    asyncio.run(_watch(nodes, name, seconds))


async def _watch(nodes: ReplicaSet, name: str, seconds: float) -> None:
    led, agreed = time.monotonic(), None
    while True:
        # Watchers that begin a vote together could keep each other from a majority.
        await asyncio.sleep(_WATCH_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        present = time.monotonic()
        if await nodes.is_led():
            led, agreed = present, None
            continue
        if present - led < seconds:
            continue
        watchers = sorted(await nodes.suspect(name))
        if len(watchers) <= len(nodes.addresses) // 2:
            agreed = None
            continue
        agreed = agreed or present
        # One after the other: a second vote would depose whom the first has just elected.
        if present - agreed < _TURN_SECONDS * watchers.index(name):
            continue
        try:
            lead = await nodes.promote(by=name, reason="nobody led")
        except NodeError as error:
            typer.echo(f"no promotion: {error}", err=True)
        else:
            typer.echo(f"{lead.name} leads, in term {lead.promised}")


def writing_owner(store: StoreSettings, owner_password: Path) -> Owner:
    """A connection as the owner of the node that writes. Raises NodeError and Unavailable."""
    nodes = ReplicaSet(store.addresses, _password(owner_password))
    several = store.topology == "replicated"
    address = asyncio.run(nodes.leader()) if several else nodes.addresses[0]
    return Owner.connect_to(address, _password(owner_password))


def _replica_set(config: Path, owner_password: Path) -> tuple[str, ReplicaSet]:
    store = configuration.load(config).store
    if store.topology == "child":
        raise CommandError("this server starts a store of its own, which has no other nodes")
    return store.topology, ReplicaSet(store.addresses, _password(owner_password))


def _several(config: Path, owner_password: Path) -> ReplicaSet:
    topology, nodes = _replica_set(config, owner_password)
    if topology == "external":
        raise CommandError("this store has one node, which always leads")
    return nodes


def _password(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from None


async def _look(
    nodes: ReplicaSet,
) -> tuple[dict[Address, NodeState], dict[Address, NodeReport]]:
    return await asyncio.gather(nodes.states(), nodes.reports())


def _named(
    states: Mapping[Address, NodeState], reports: Mapping[Address, NodeReport]
) -> list[tuple[str, NodeReport]]:
    return [(_name(at, states.get(at)), report) for at, report in reports.items()]


def _name(at: Address, state: NodeState | None) -> str:
    return state.name if state is not None else f"{at.host}:{at.port}"


def _node(at: Address, state: NodeState | None, report: NodeReport | None) -> dict[str, Any]:
    node: dict[str, Any] = {
        "name": _name(at, state),
        "address": f"{at.host}:{at.port}",
        "role": _role(state, report),
    }
    if state is not None:
        node |= {"term": state.history, "promised": state.promised, "following": state.following}
    if report is not None:
        node |= msgspec.to_builtins(report)
        node["sweep_lag_s"] = _sweep_lag(report)
    return node


def _role(state: NodeState | None, report: NodeReport | None) -> str:
    if report is None:
        return "away"
    if report.leads:
        return "writer"
    if state is not None and state.outdated:
        return "outdated"
    if state is not None and state.begins:
        return "beginning"
    return "replica" if state is not None and state.following else "waiting"


def _sweep_lag(report: NodeReport) -> int:
    return max(0, now() - report.oldest_expiry) if report.oldest_expiry is not None else 0


def _table(
    nodes: ReplicaSet,
    states: Mapping[Address, NodeState],
    reports: Mapping[Address, NodeReport],
) -> str:
    header = "node", "address", "role", "lag", "schema", "memory", "customers", "unswept since"
    rows = []
    for at in nodes.addresses:
        state, report = states.get(at), reports.get(at)
        row = [_name(at, state), f"{at.host}:{at.port}", _role(state, report)]
        if report is None:
            row += ["-"] * (len(header) - len(row))
        else:
            row += [
                f"{report.upstream.lag:.3f} s" if report.upstream else "-",
                str(report.schema_version),
                f"{report.memory.used // _MEBIBYTE} of {report.memory.quota // _MEBIBYTE} MiB",
                str(report.rows.get("customer", 0)),
                span(_sweep_lag(report)),
            ]
        rows.append(row)
    return table(header, rows)
