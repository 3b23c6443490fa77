"""`idp keys`: the life of the signing keys, and of our own encryption key."""

import datetime as dt
from typing import Annotated

import typer

from idp.commands import key_material, key_reports
from idp.commands.key_steps import known_algorithm, refuse, replace, row_of
from idp.commands.operating import actor, now, settings_of, with_keys
from idp.commands.terminal import (
    CommandError,
    Config,
    Directory,
    Json,
    Reason,
    Yes,
    confirm,
    examples,
    group,
    moment,
    show,
)
from keys.life_cycle import LifeCycle
from storage import outcomes as o
from storage.records import By, SigningKeyRow

app = group(
    "The signing keys, and our own encryption key.",
    "idp keys list --config production.toml",
    'idp keys rotate ES256 --config production.toml --reason "yearly exercise"',
    'idp keys revoke KID --config production.toml --reason "laptop stolen"',
)

app.add_typer(key_material.app)

Kid = Annotated[str, typer.Argument(help="The key's id, as `idp keys list` shows it.")]
Force = Annotated[bool, typer.Option("--force", help="Do it although it is unsafe; see --reason.")]
At = Annotated[
    dt.datetime | None,
    typer.Option(formats=["%Y-%m-%dT%H:%M:%SZ"], help="When, in UTC; as soon as it is safe."),
]


@app.command("list", epilog=examples("idp keys list --config production.toml"))
def list_keys(*, config: Config = None, directory: Directory = None, as_json: Json = False) -> None:
    """Show every key: its state, what seals it, and what comes next."""

    async def read(life_cycle: LifeCycle) -> tuple[list[SigningKeyRow], str]:
        rows = await life_cycle.store.signing_keys()
        return rows, key_reports.as_table(rows, life_cycle, now())

    rows, text = with_keys(settings_of(config, directory), read)
    show([key_reports.as_json(row) for row in rows], text, as_json=as_json)


@app.command("show", epilog=examples("idp keys show KID --config production.toml"))
def show_key(
    kid: Kid, *, config: Config = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show all about one key; its private part is never shown."""

    async def read(life_cycle: LifeCycle) -> SigningKeyRow:
        return await row_of(life_cycle, kid)

    described = key_reports.as_json(with_keys(settings_of(config, directory), read))
    lines = [
        f"{name:<13} {moment(value) if name.endswith('_at') else value}"
        for name, value in described.items()
        if value is not None
    ]
    show(described, "\n".join(lines), as_json=as_json)


@app.command(
    epilog=examples(
        "idp keys generate ES256 --config production.toml",
        'idp keys generate ES256 --hsm --config production.toml --reason "moving into the HSM"',
    )
)
def generate(
    alg: Annotated[str, typer.Argument(help="The algorithm.")],
    *,
    hsm: Annotated[
        bool, typer.Option("--hsm", help="Make it in the hardware security module.")
    ] = False,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make a new next key, in the place of the one that waits.

    It is published at once, and signs when `idp keys list` says so, or after `idp keys rotate`.
    """

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        known_algorithm(life_cycle, alg)
        successor = await life_cycle.new_key(alg, hsm=hsm, now=now())
        await replace(life_cycle, successor, reason)
        return await row_of(life_cycle, successor.kid)

    row = with_keys(settings_of(config, directory), change)
    show(key_reports.as_json(row), f"{row.kid} is the next key for {alg}", as_json=as_json)


@app.command(
    epilog=examples(
        "idp keys rotate ES256 --config production.toml",
        "idp keys rotate ES256 --at 2027-01-01T03:00:00Z --config production.toml",
        'idp keys rotate ES256 --force --reason "drill" --config production.toml',
    )
)
def rotate(
    alg: Annotated[str, typer.Argument(help="The algorithm.")],
    *,
    at: At = None,
    force: Force = False,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let the next key of an algorithm begin to sign, as soon as that is safe or at a time."""

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        for row in await life_cycle.store.signing_keys():
            if row.alg == alg and row.state == "next":
                return await _activate(life_cycle, row, at, force=force, reason=reason)
        raise CommandError(f"there is no next key for {alg}: see `idp keys list`")

    _told(with_keys(settings_of(config, directory), change), as_json=as_json)


@app.command(
    epilog=examples(
        "idp keys activate KID --config production.toml",
        "idp keys activate KID --at 2027-01-01T03:00:00Z --config production.toml",
    )
)
def activate(
    kid: Kid,
    *,
    at: At = None,
    force: Force = False,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let this very key begin to sign; the same as `rotate`, for a key that you know."""

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        row = await row_of(life_cycle, kid)
        return await _activate(life_cycle, row, at, force=force, reason=reason)

    _told(with_keys(settings_of(config, directory), change), as_json=as_json)


@app.command(
    epilog=examples(
        "idp keys retire KID --config production.toml",
        'idp keys retire KID --force --reason "no token of it is left" --config production.toml',
    )
)
def retire(
    kid: Kid,
    *,
    force: Force = False,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Take a key out of the JWK Set: one that waits, one that retires, or a withdrawn algorithm's.

    A retiring key goes by itself; before that some of its tokens are still good.
    """
    _needs_reason(reason, force=force)

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        row = await row_of(life_cycle, kid)
        by = By(actor(), reason or None)
        outcome = await life_cycle.retire(row, force=force, by=by, now=now())
        if not isinstance(outcome, o.Changed):
            refuse(row, outcome)
        return await row_of(life_cycle, kid)

    _told(with_keys(settings_of(config, directory), change), as_json=as_json)


@app.command(
    epilog=examples(
        'idp keys revoke KID --reason "found in a log" --config production.toml',
        'idp keys revoke KID --reason "found in a log" --yes --json --config production.toml',
    )
)
def revoke(
    kid: Kid,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit trail.")],
    yes: Yes = False,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """End all trust in a key, now and for ever: its tokens are refused within five seconds.

    In the place of an active key the next one, which is published already, signs at once.
    """
    settings = settings_of(config, directory)
    confirm(f"Every token that {kid} has signed will be refused.", kid, yes=yes)

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        row = await row_of(life_cycle, kid)
        outcome = await life_cycle.revoke(row, by=By(actor(), reason), now=now())
        if not isinstance(outcome, o.Changed):
            refuse(row, outcome)
        return await row_of(life_cycle, kid)

    _told(with_keys(settings, change), as_json=as_json)


async def _activate(
    life_cycle: LifeCycle, row: SigningKeyRow, at: dt.datetime | None, *, force: bool, reason: str
) -> SigningKeyRow:
    _needs_reason(reason, force=force)
    moment_now, by = now(), By(actor(), reason or None)
    if at is not None:
        wanted = int(at.replace(tzinfo=dt.UTC).timestamp())
    else:
        wanted = moment_now if force else life_cycle.earliest(row, moment_now)
    outcome = await life_cycle.schedule(
        row.kid, activates_at=wanted, force=force, by=by, now=moment_now
    )
    if not isinstance(outcome, o.Changed):
        refuse(row, outcome)
    scheduled = await row_of(life_cycle, row.kid)
    if wanted <= moment_now:
        # No need to wait for a server, which may not run.
        await life_cycle.turn(scheduled, by=by, now=moment_now)
    return await row_of(life_cycle, row.kid)


def _needs_reason(reason: str, *, force: bool) -> None:
    if force and not reason:
        raise typer.BadParameter("--force needs a --reason")


def _told(row: SigningKeyRow, *, as_json: bool) -> None:
    texts: dict[str, str] = {
        "next": f"signs from {moment(row.activates_at)} on",
        "active": "signs now",
        "retiring": f"signs no longer, and is published until {moment(row.retires_at)}",
        "retired": "is retired",
        "revoked": "is revoked",
    }
    show(key_reports.as_json(row), f"{row.kid} {texts[row.state]}", as_json=as_json)
