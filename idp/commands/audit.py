"""`idp audit`: the audit trail, read, followed, verified and archived."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from conf.settings import Settings
from idp.commands import audit_lines
from idp.commands.operating import by, now, settings_of, with_store
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
from idp.commands.times import TIME, time_of
from storage import audit_trail
from storage.audit_chain import ChainError
from storage.audit_file import ArchiveError, ArchiveFile, Progress, verify_files
from storage.audit_trail import Archived, Wanted
from storage.errors import Unavailable, Uncertain
from storage.records import AuditEvent, AuditPosition
from storage.store import Store

_POLL_SECONDS = 1.0
_DAY = 86_400
_ROWS_BETWEEN_REPORTS = 100_000
_POSITION = re.compile(r"(?P<seq>[0-9]{1,18}):(?P<hash>[0-9a-f]{64})")

app = group(
    "The audit trail: read, follow, verify and archive it.",
    "idp audit read --event signed_in --since 2h --config production.toml",
    "idp audit follow --json --config production.toml",
    "idp audit verify --config production.toml",
    "idp audit archive audit.jsonl --keep-days 90 --config production.toml",
)

After = Annotated[int | None, typer.Option(min=0, help="Only rows after this number.")]
Event = Annotated[str | None, typer.Option(help="Only events of this name.")]
Sub = Annotated[str | None, typer.Option(help="Only those of this customer (`sub`).")]
Client = Annotated[str | None, typer.Option(help="Only those of this client (`client_id`).")]
Actor = Annotated[str | None, typer.Option("--by", help="Only what this operator did.")]


@app.command(
    epilog=examples(
        "idp audit read --config production.toml",
        "idp audit read --sub 0d6f5a1f --since 2026-11-01 --until 2026-11-02 --directory var",
        "idp audit read --after 4711 --limit 1000 --json --directory var",
    )
)
def read(
    *,
    after: After = None,
    since: Annotated[str | None, typer.Option(metavar=TIME, help="Only from then on.")] = None,
    until: Annotated[str | None, typer.Option(metavar=TIME, help="Only until then.")] = None,
    event: Event = None,
    sub: Sub = None,
    client: Client = None,
    by: Actor = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Print events, oldest first.

    They are the first ones after --after or --since, or else the newest. With --json each is a
    line of its own, as in an archive.

    A TIME is as in ISO 8601, in UTC unless it says otherwise, or an age such as 90m, 2h or 7d.
    """
    settings = settings_of(config, directory)
    wanted = Wanted(
        _match(event, sub, client, by),
        since=None if since is None else time_of("--since", since, now()),
        until=None if until is None else time_of("--until", until, now()),
    )

    async def chosen(store: Store) -> list[AuditEvent]:
        if after is None and since is None:
            return await audit_trail.newest(store, wanted, limit)
        return await _first(limit, audit_trail.onward(store, wanted, after or 0))

    for found in with_store(settings, chosen):
        _print(found, as_json=as_json)


@app.command(
    epilog=examples(
        "idp audit follow --config production.toml",
        "idp audit follow --event refresh_token_reused --json --directory var",
        "idp audit follow --after 4711 --directory var",
    )
)
def follow(
    *,
    after: After = None,
    event: Event = None,
    sub: Sub = None,
    client: Client = None,
    by: Actor = None,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Print events as they come, until Ctrl-C.

    Begins with the next event, or after --after. Outlives a restart of the server, and misses
    nothing by it. With --json each is a line of its own.
    """
    settings = settings_of(config, directory)
    wanted = Wanted(_match(event, sub, client, by))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_follow(settings, wanted, after, as_json=as_json))


@app.command(
    epilog=examples(
        "idp audit verify --config production.toml",
        "idp audit verify --expect 4711:9f86d081884c7d65... --config production.toml",
        "idp audit verify --file 2026.jsonl --file 2027.jsonl",
        "idp audit verify --file 2026.jsonl --file 2027.jsonl --config production.toml --json",
    )
)
def verify(
    *,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="SEQ:HASH", help="What an earlier verification printed."),
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option(help="An archive; several in their order.")
    ] = None,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Compute the chain of hashes anew from the rows.

    Names the first row that was changed, removed, inserted or moved; the exit code is 1 if there
    is one. Takes the rows of the store, of archives, or of archives and the store together, which
    must continue them.

    Who can write to the store's spaces can change a row and compute all later hashes anew, or
    cut off the newest rows, and the chain fits again. So note the SEQ:HASH that this command
    prints where they cannot write, and give it to --expect later: that finds out either, up to
    the row that was noted.
    """
    expected = [_position(text) for text in expect or ()]
    files = file or []
    whole_store = config is not None or directory is not None or not files
    settings = settings_of(config, directory) if whole_store else None
    try:
        rows, head = _verify(settings, files, expected)
    except ChainError as error:
        show({"intact": False, "fault": str(error)}, f"not intact: {error}", as_json=as_json)
        raise typer.Exit(1) from None
    except ArchiveError as error:
        raise CommandError(str(error)) from None
    show(
        {"intact": True, "rows": rows, "head": str(head)},
        f"intact: {rows} rows\nhead: {head}",
        as_json=as_json,
    )


@app.command(
    epilog=examples(
        "idp audit archive /var/archive/audit-2026.jsonl --keep-days 90 --config production.toml",
        "idp audit archive audit.jsonl --before 2026-11-01 --reason 'moved house' --directory var",
    )
)
def archive(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Is made, or continued.")],
    *,
    before: Annotated[
        str | None, typer.Option(metavar=TIME, help="Archive what is older than this.")
    ] = None,
    keep_days: Annotated[
        int | None, typer.Option(min=0, help="Archive what is older than so many days.")
    ] = None,
    reason: Reason = "retention",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Move the oldest rows to a file of JSON lines.

    A row leaves the store when it is on the disk and the file, read back, fits the chain; what
    was interrupted is finished by the same command, and nothing is lost or written twice. The
    file and the store stay one chain for `idp audit verify`. The archive itself is an event.

    A TIME is as in ISO 8601, in UTC unless it says otherwise, or an age such as 90m, 2h or 7d.
    """
    if (before is None) == (keep_days is None):
        raise typer.BadParameter("give either --before or --keep-days")
    settings = settings_of(config, directory)
    at = now()
    limit = at - (keep_days or 0) * _DAY if before is None else time_of("--before", before, at)

    async def move(store: Store) -> Archived:
        with ArchiveFile(path) as file:
            return await audit_trail.archive(
                store, file, before=limit, by=by(reason), now=at, progress=_reporter()
            )

    try:
        archived = with_store(settings, move)
    except (ArchiveError, ChainError) as error:
        raise CommandError(f"{error}; nothing was removed from the store") from None
    show(
        {"rows": archived.rows, "head": str(archived.head)},
        f"archived: {archived.rows} rows\nhead: {archived.head}",
        as_json=as_json,
    )


def _match(
    event: str | None, sub: str | None, client_id: str | None, by: str | None
) -> dict[str, str]:
    given = {"event": event, "sub": sub, "client_id": client_id, "by": by}
    return {name: value for name, value in given.items() if value is not None}


async def _first(limit: int, events: AsyncIterator[AuditEvent]) -> list[AuditEvent]:
    found: list[AuditEvent] = []
    async for event in events:
        found.append(event)
        if len(found) == limit:
            break
    return found


async def _follow(settings: Settings, wanted: Wanted, after: int | None, *, as_json: bool) -> None:
    # A store that was started for this command would keep the server from starting.
    # It warns twenty times a second while the store is away, of which we tell.
    logging.getLogger("asynctnt").setLevel(logging.ERROR)
    try:
        store = await Store.open(settings)
    except (FileNotFoundError, Unavailable):
        raise CommandError("no server is running here, so there is nothing to follow") from None
    try:
        while True:
            try:
                head = (await store.audit_ends()).head.seq
                after = head if after is None else after
                async for event in audit_trail.onward(store, wanted, after):
                    _print(event, as_json=as_json)
                    after = event.seq
                after = max(after, head)
            except (Unavailable, Uncertain):
                typer.echo("idp: the store does not answer; waiting for it", err=True)
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        await store.close()


def _verify(
    settings: Settings | None, files: list[Path], expected: list[AuditPosition]
) -> tuple[int, AuditPosition]:
    progress = _reporter()
    if settings is None:
        chain = verify_files(files, expected, progress)
        chain.end()
        return chain.rows, chain.head
    archived = verify_files(files, expected, progress) if files else None
    # The store continues the files, where it has the row that they end with.
    left = [*archived.unmet, archived.head] if archived is not None else expected
    chain = with_store(settings, lambda store: audit_trail.verify(store, left, progress))
    chain.end()
    anchor = chain.anchor if archived is None else archived.anchor
    return chain.head.seq - anchor.seq, chain.head


def _print(event: AuditEvent, *, as_json: bool) -> None:
    typer.echo(audit_lines.as_json(event) if as_json else audit_lines.as_text(event))


def _position(text: str) -> AuditPosition:
    found = _POSITION.fullmatch(text.strip().lower())
    if found is None:
        raise typer.BadParameter(f"--expect {text}: must be SEQ:HASH, as verify prints it")
    return AuditPosition(int(found["seq"]), found["hash"])


def _reporter() -> Progress:
    reported = 0

    def report(rows: int) -> None:
        nonlocal reported
        if rows < reported:  # the store, after the files
            reported = 0
        if rows - reported >= _ROWS_BETWEEN_REPORTS:
            reported = rows
            typer.echo(f"idp: {rows} rows", err=True)

    return report
