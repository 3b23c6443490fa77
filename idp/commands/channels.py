"""`idp channels`: the channels and their clients, as channels files say they should be."""

from pathlib import Path
from typing import Annotated

import typer

from conf.channels import ChannelEntry
from conf.channels_file import load_channels
from conf.settings import Settings
from flows.channel_plan import Overtaken, Refused, revised
from idp import channels
from idp.commands import channel_reports as reports
from idp.commands.operating import by, settings_of, with_store
from idp.commands.terminal import (
    CommandError,
    Config,
    Directory,
    Json,
    Reason,
    examples,
    group,
    show,
)
from storage.outcomes import FoundRevision
from storage.records import ChannelsState
from storage.store import Store

app = group(
    "The channels and their clients.",
    "idp channels plan channels.toml --config production.toml",
    "idp channels apply channels.toml --config production.toml",
    "idp channels undo --config production.toml --reason 'the shop is not ready'",
)

_CHANGES = 2  # the exit code of a plan that would change something
Files = Annotated[list[Path], typer.Argument(help="Channels files (TOML).")]
Force = Annotated[
    bool, typer.Option("--force", help="Do it though it breaks running clients; needs --reason.")
]


@app.command(
    epilog=examples(
        "idp channels plan channels.toml --config production.toml",
        "idp channels plan channels.toml partners.toml --directory ./var --json",
    )
)
def plan(
    files: Files, *, config: Config = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show what channels files would change.

    The exit code is 0 if nothing would change, 2 if something would, and 1 if the files cannot be
    applied.
    """
    settings = settings_of(config, directory)
    make = channels.of_files(_load(files, settings))
    found = with_store(settings, lambda store: channels.plan(store, settings, make))
    show(reports.plan_as_json(found), reports.plan_as_text(found), as_json=as_json)
    raise typer.Exit(_CHANGES if found.changes else 0)


@app.command(
    epilog=examples(
        "idp channels apply channels.toml --config production.toml",
        "idp channels apply channels.toml partners.toml --directory ./var --json",
        "idp channels apply channels.toml --config production.toml --force --reason 'shut'",
    )
)
def apply(
    files: Files,
    *,
    force: Force = False,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Bring channels files into the store, all or nothing.

    A channel's clients become exactly those of the files, but for clients that `idp clients` made.
    What the files do not mention stays as it is. What would break running clients is refused
    without --force.

    Works on the running server's store, or starts the store for this long if no server runs.
    """
    settings = settings_of(config, directory)
    make = channels.of_files(_load(files, settings))
    _carry_out(settings, make, force=force, reason=reason, as_json=as_json)


@app.command(
    epilog=examples(
        "idp channels undo --config production.toml",
        "idp channels undo 12 --config production.toml --force --reason 'the shop is not ready'",
    )
)
def undo(
    revision: Annotated[
        int | None, typer.Argument(help="Which one to take back; the last one if absent.")
    ] = None,
    *,
    force: Force = False,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make what a revision changed as it was before.

    This is a revision itself, so that it can be undone. What would break running clients, or what
    has changed since, is refused without --force. A client that was disabled stays so.
    """
    settings = settings_of(config, directory)
    make = channels.of_undoing(revision)
    _carry_out(settings, make, force=force, reason=reason, as_json=as_json)


@app.command(
    epilog=examples(
        "idp channels history --config production.toml",
        "idp channels history --config production.toml --channel lugavitsa-app",
        "idp channels history 12 --config production.toml --json",
    )
)
def history(
    revision: Annotated[
        int | None, typer.Argument(help="Show what this one changed, member by member.")
    ] = None,
    *,
    channel: Annotated[
        str | None, typer.Option(help="Only what changed this channel or its clients.")
    ] = None,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """List who changed what, when and why; the last hundred revisions are kept."""
    settings = settings_of(config, directory)
    if revision is None:
        listed = with_store(settings, lambda store: store.channel_revisions())
        rows = [it for it in listed if channel in (None, *(row.channel_id for row in it.changed))]
        show(reports.history_as_json(rows), reports.history_as_text(rows), as_json=as_json)
        return
    found = with_store(settings, lambda store: store.channel_revision_read(revision))
    if not isinstance(found, FoundRevision):
        raise CommandError(f"there is no revision {revision} (any more)")
    differences = [it for it in revised(found) if channel in (None, it.channel_id)]
    show(
        reports.revision_as_json(found.revision, differences),
        reports.revision_as_text(found.revision, differences),
        as_json=as_json,
    )


@app.command(
    "show",
    epilog=examples(
        "idp channels show --config production.toml",
        "idp channels show lugavitsa-app --config production.toml --json",
    ),
)
def show_(
    channel: Annotated[str | None, typer.Argument(help="The channel; all if absent.")] = None,
    *,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show the channels, or all about one, with the clients that channels files manage."""
    settings = settings_of(config, directory)

    async def read(store: Store) -> ChannelsState:
        known = [row.channel_id for row in await store.channels_list()]
        return await store.channels_read([it for it in known if channel in (None, it)], [])

    state = with_store(settings, read)
    if channel is None:
        show(reports.channels_as_json(state), reports.channels_as_text(state), as_json=as_json)
    elif not state.channels:
        raise CommandError(f"there is no channel {channel}")
    else:
        show(reports.channels_as_json(state)[0], reports.channel_as_text(state), as_json=as_json)


def _load(files: list[Path], settings: Settings) -> tuple[ChannelEntry, ...]:
    entries = load_channels(files, secrets_directory=settings.directory / "secrets")
    for warning in channels.warnings(entries, settings):
        typer.echo(f"idp: warning: {warning}", err=True)
    return entries


def _carry_out(
    settings: Settings, make: channels.Make, *, force: bool, reason: str, as_json: bool
) -> None:
    if force and not reason.strip():
        raise typer.BadParameter("--force needs --reason")
    try:
        done, revision = with_store(
            settings,
            lambda store: channels.carry_out(store, settings, make, force=force, by=by(reason)),
        )
    except Refused as refused:
        for objection in refused.objections:
            typer.echo(f"idp: {objection}", err=True)
        raise CommandError(
            "nothing was changed; repeat the command with --force and --reason if that is meant"
        ) from None
    except Overtaken:
        raise CommandError(
            "somebody else has changed these channels at this moment, and nothing was changed: "
            "look at `idp channels history` and repeat the command"
        ) from None
    show(
        {"revision": revision} | reports.plan_as_json(done),
        reports.plan_as_text(done, revision),
        as_json=as_json,
    )
