"""`idp store`: the database, its nodes, and what is kept in it."""

import contextlib
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from conf.model import Settings
from conf.node_settings import NodeSettings, read_node
from idp.commands import store_nodes
from idp.commands.operating import by, now, running_owner, settings_of, stopped_store, with_owner
from idp.commands.terminal import (
    CommandError,
    Config,
    Directory,
    Json,
    NeededReason,
    Reason,
    examples,
    group,
    moment,
    show,
)
from idp.commands.times import TIME, time_of
from storage import backup as backups
from storage import migrations
from storage import restore as restores
from storage.archive import ArchiveDirectoryError, Manifest, Progress
from storage.child import holds_data
from storage.errors import StoreBug
from storage.owner import Owner

app = group(
    "The store: its nodes, its schema, backups of it, and their restoring.",
    "idp store status --config production.toml --owner-password /etc/idp/store-owner-password",
    "idp store migrate --dry-run --config production.toml",
    "idp store backup /backup/2026-11 --config production.toml",
    'idp store restore /backup/2026-11 --reason "a lost disk" --config production.toml',
)
app.registered_commands += store_nodes.app.registered_commands

Archive = Annotated[Path, typer.Argument(help="The directory of the backup.", metavar="DIR")]
Node = Annotated[
    Path | None,
    typer.Option(help="The store.env of a node on this machine, instead of --config."),
]

_TELL_EVERY = 0.5  # seconds
_MIB = 1024 * 1024


@app.command(
    epilog=examples(
        "idp store migrate --dry-run --config production.toml",
        'idp store migrate --reason "before version 0.2" --config production.toml',
        "idp store migrate --dry-run --config production.toml --owner-password owner",
    )
)
def migrate(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done; write nothing.")
    ] = False,
    reason: Reason = "",
    owner_password: Annotated[
        Path | None,
        typer.Option(help="For a store elsewhere: the file with its owner's password."),
    ] = None,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Bring the store's schema to this version.

    A store that is running goes on, with the server of the version before. A server's own store is
    brought to its version at every start, and one of several nodes when a node of this version
    begins to lead; to do it earlier is for big spaces, where an index takes its time.
    """
    settings = settings_of(config, directory)
    at = now()
    try:
        owner = _owner(settings, owner_password)
        if owner is not None:
            with contextlib.closing(owner):
                names = migrations.migrate(owner, by=by(reason), now=at, dry_run=dry_run)
        else:
            with stopped_store(settings) as place:
                names = (
                    migrations.migrate_stopped(
                        place, settings.store.memory_bytes, by=by(reason), now=at, dry_run=dry_run
                    )
                    if not dry_run or holds_data(place)
                    else migrations.names()
                )
    except StoreBug as error:
        raise CommandError(str(error)) from None
    lines = [f"{'would apply' if dry_run else 'applied'} {name}" for name in names]
    text = "\n".join(lines) or "the schema is of this version"
    show({"applied" if not dry_run else "pending": names}, text, as_json=as_json)


@app.command(
    epilog=examples(
        "idp store backup /backup/2026-11 --config production.toml",
        "idp store backup /backup/2026-11 --json --config production.toml",
        "idp store backup /backup/2026-11-b --node /etc/idp/store.env",
    )
)
def backup(
    archive: Archive,
    *,
    node: Node = None,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Add to a backup all that the store has written so far.

    The store goes on meanwhile. The same directory again adds what is new, and what was interrupted
    goes on. It can then be restored to any moment since its first time, as long as this command
    runs more often than every hour: the store keeps its logs for the last two checkpoints.
    """
    place = _place(node, config, directory)

    def work(owner: Owner) -> Manifest:
        return backups.backup(owner, _directory(place), archive, _reporter())

    try:
        if isinstance(place, NodeSettings):
            password = place.identity.owner_password
            with contextlib.closing(Owner.connect_to(place.address, password)) as owner:
                manifest = work(owner)
        else:
            manifest = with_owner(place, work)
    except ArchiveDirectoryError as error:
        raise CommandError(str(error)) from None
    size = sum(file.bytes for file in manifest.files)
    until = int(manifest.complete_until or 0)
    show(
        {
            "files": len(manifest.files),
            "bytes": size,
            "schema_version": manifest.schema_version,
            "complete_until": manifest.complete_until,
        },
        f"{len(manifest.files)} files, {size / _MIB:,.1f} MiB, complete until {moment(until)}",
        as_json=as_json,
    )


@app.command(
    epilog=examples(
        'idp store restore /backup/2026-11 --reason "a lost disk" --config production.toml',
        "idp store restore /backup/2026-11 --until 2026-11-22T10:30Z "
        '--reason "a wrong command at 10:31" --config production.toml',
        'idp store restore /backup/2026-11 --reason "three machines" --node /etc/idp/store.env',
    )
)
def restore(
    archive: Archive,
    *,
    reason: NeededReason,
    until: Annotated[
        str | None, typer.Option(metavar=TIME, help="What was written before then, and no more.")
    ] = None,
    node: Node = None,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Restore a backup into an empty place; no server, or node, may run there.

    Every file is checked against what was backed up. The key-encryption key is not in the backup.
    A backup becomes a server's private store or, with --node, the first node of a store elsewhere,
    whichever of them it was made of; the other nodes join that one, and it gets the passwords of
    its store.env.

    A TIME is as in ISO 8601, in UTC unless it says otherwise, or an age such as 90m, 2h or 7d.
    """
    place = _place(node, config, directory)
    at = now()
    before = time_of("--until", until, at) if until is not None else None
    try:
        restored = restores.restore(
            archive,
            _directory(place),
            place.memory_bytes if isinstance(place, NodeSettings) else place.store.memory_bytes,
            node=place if isinstance(place, NodeSettings) else None,
            before=before,
            by=by(reason),
            now=at,
            progress=_reporter(),
        )
    except ArchiveDirectoryError as error:
        raise CommandError(f"{error}; nothing was restored") from None
    show(
        {"checkpoint": restored.checkpoint, "rows_replayed": restored.rows_replayed},
        f"restored {restored.checkpoint} and {restored.rows_replayed} rows that were logged later",
        as_json=as_json,
    )


def _owner(settings: Settings, password: Path | None) -> Owner | None:
    """The owner's connection to a store that runs."""
    if settings.store.topology == "child":
        return running_owner(settings)
    if password is None:
        raise CommandError("the store runs elsewhere: repeat the command with --owner-password")
    return store_nodes.writing_owner(settings.store, password)


def _place(
    node: Path | None, config: Path | None, directory: Path | None
) -> Settings | NodeSettings:
    """Where the files of a store are, on this machine."""
    if node is not None:
        if config is not None or directory is not None:
            raise typer.BadParameter("give one of --node, --config and --directory")
        return read_node(node)
    settings = settings_of(config, directory)
    if settings.store.topology != "child":
        raise CommandError(
            "the store runs elsewhere: repeat the command on the machine of a node, with --node"
        )
    return settings


def _directory(place: Settings | NodeSettings) -> Path:
    return place.directory if isinstance(place, NodeSettings) else place.directory / "store"


def _reporter() -> Progress:
    """Tells a person now and then."""
    told_at = 0.0

    def tell(what: str, done: int, total: int) -> None:
        nonlocal told_at
        ended = done == total
        if sys.stderr.isatty() and (ended or time.monotonic() - told_at > _TELL_EVERY):
            told_at = time.monotonic()
            part = f" {done / _MIB:,.0f} of {total / _MIB:,.0f} MiB" if total else ""
            typer.echo(f"\r{what + part:<50}", nl=ended, err=True)

    return tell
