"""`idp keys`: the life of the signing keys, and of our own encryption key."""

from typing import Annotated

import typer

from conf.settings import Settings
from idp.commands import key_material, key_reports, key_sealing
from idp.commands.key_steps import (
    in_use,
    must_be_in_use,
    put_next,
    refuse_activation,
    refuse_retirement,
    row_of,
    warn_of_young_key,
)
from idp.commands.operating import by, now, settings_of, with_keys, with_store
from idp.commands.terminal import (
    TAKES_ID,
    CommandError,
    Config,
    Directory,
    Json,
    NeededReason,
    Reason,
    Yes,
    confirm,
    examples,
    group,
    must_have_reason,
    show,
)
from idp.commands.times import TIME, moment_of
from keys.errors import HsmError, SealError
from keys.life_cycle import LifeCycle, policy_of
from storage import outcomes as o
from storage.records import SigningKeyRow
from storage.store import Store

app = group(
    "The signing keys, and our own encryption key.",
    "idp keys list --config production.toml",
    'idp keys rotate ES256 --config production.toml --reason "yearly exercise"',
    'idp keys revoke KID --config production.toml --reason "laptop stolen"',
)

app.add_typer(key_material.app)
app.add_typer(key_sealing.app)

Alg = Annotated[str, typer.Argument(help="The algorithm, such as ES256.")]
Kid = Annotated[str, typer.Argument(help="The key's id, as `idp keys list` shows it.")]
Force = Annotated[bool, typer.Option("--force", help="Do it although it is unsafe; see --reason.")]
At = Annotated[
    str | None,
    typer.Option(
        metavar=TIME,
        help="When, such as 2027-01-01T03:00:00Z; without it, as soon as that is safe.",
    ),
]


@app.command("list", epilog=examples("idp keys list --config production.toml"))
def list_keys(*, config: Config = None, directory: Directory = None, as_json: Json = False) -> None:
    """Show every key, its state and what comes next."""
    settings = settings_of(config, directory)
    rows = with_store(settings, lambda store: store.signing_keys())
    text = key_reports.as_table(rows, in_use(settings), now())
    show([key_reports.described(row) for row in rows], text, as_json=as_json)


@app.command(
    "show", context_settings=TAKES_ID, epilog=examples("idp keys show KID --config production.toml")
)
def show_key(
    kid: Kid, *, config: Config = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show all about one key, but its private part."""
    settings = settings_of(config, directory)
    row = with_store(settings, lambda store: row_of(store, kid))
    text = key_reports.as_text(row, in_use(settings), now())
    show(key_reports.described(row), text, as_json=as_json)


@app.command(
    epilog=examples(
        "idp keys generate ES256 --config production.toml",
        'idp keys generate ES256 --hsm --config production.toml --reason "moving into the HSM"',
    )
)
def generate(
    alg: Alg,
    *,
    hsm: Annotated[
        bool, typer.Option("--hsm", help="Make it in the hardware security module.")
    ] = False,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make another next key.

    It takes the place of the one that waits. It is published at once, and signs when
    `idp keys list` says so, or after `idp keys rotate`.
    """

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        must_be_in_use(life_cycle, alg)
        successor = await life_cycle.new_key(alg, hsm=hsm, now=now())
        return await put_next(life_cycle, successor, reason)

    key_reports.tell(with_keys(settings_of(config, directory), change), now(), as_json=as_json)


@app.command(
    epilog=examples(
        "idp keys rotate ES256 --config production.toml",
        "idp keys rotate ES256 --at 2027-01-01T03:00:00Z --config production.toml",
        'idp keys rotate ES256 --force --reason "drill" --config production.toml',
    )
)
def rotate(
    alg: Alg,
    *,
    at: At = None,
    force: Force = False,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let an algorithm's next key sign from now on.

    That is as soon as it is safe, or at a time of your choice; a running server does it then.
    """
    if force:
        must_have_reason(reason, "--force")

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        must_be_in_use(life_cycle, alg)
        for row in await life_cycle.store.signing_keys():
            if row.alg == alg and row.state == "next":
                return await _activate(life_cycle, row, at, force=force, reason=reason)
        raise CommandError(key_reports.NONE_YET)

    key_reports.tell(with_keys(settings_of(config, directory), change), now(), as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples(
        "idp keys activate KID --config production.toml",
        "idp keys activate KID --at 2027-01-01T03:00:00Z --config production.toml",
    ),
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
    """Let this very next key sign from now on.

    It is the same as `rotate`, and certain to be about the key that you mean.
    """
    if force:
        must_have_reason(reason, "--force")

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        row = await row_of(life_cycle.store, kid)
        must_be_in_use(life_cycle, row.alg)
        return await _activate(life_cycle, row, at, force=force, reason=reason)

    key_reports.tell(with_keys(settings_of(config, directory), change), now(), as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples(
        "idp keys retire KID --config production.toml",
        'idp keys retire KID --force --reason "no token of it is left" --config production.toml',
    ),
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
    """Publish a key no longer.

    It may be a next key, for which another one is made, or the active key of an algorithm that the
    settings no longer have. A retiring key goes by itself; before that, some tokens are still good.
    """
    if force:
        must_have_reason(reason, "--force")

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        row = await row_of(life_cycle.store, kid)
        outcome = await life_cycle.retire(row, force=force, by=by(reason), now=now())
        if not isinstance(outcome, o.Changed):
            refuse_retirement(row, outcome)
        return await row_of(life_cycle.store, kid)

    key_reports.tell(with_keys(settings_of(config, directory), change), now(), as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples(
        'idp keys revoke KID --reason "found in a log" --config production.toml',
        'idp keys revoke KID --reason "found in a log" --yes --json --config production.toml',
    ),
)
def revoke(
    kid: Kid,
    *,
    reason: NeededReason,
    yes: Yes = False,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """End all trust in a key, now and for ever.

    Its tokens are refused within five seconds. In the place of an active key the next one, which is
    published already, signs at once. This works without the key-encryption key too.
    """
    settings = settings_of(config, directory)
    if not yes:
        known = with_store(settings, lambda store: row_of(store, kid))
        warning = f"{known.alg}, {known.state}: every token of this key will be refused for ever."
        confirm(warning, kid, yes=known.state == "revoked")
    row = _revoke(settings, kid, reason)
    warn_of_young_key(settings, row)
    key_reports.tell(row, now(), as_json=as_json)


def _revoke(settings: Settings, kid: str, reason: str) -> SigningKeyRow:
    policy = policy_of(settings.keys)

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        row = await row_of(life_cycle.store, kid)
        await life_cycle.revoke(row, by=by(reason), now=now())
        return await row_of(life_cycle.store, kid)

    async def change_alone(store: Store) -> SigningKeyRow:
        await row_of(store, kid)
        await store.signing_key_revoke(kid, successor=None, policy=policy, by=by(reason), now=now())
        return await row_of(store, kid)

    try:
        return with_keys(settings, change)
    except (SealError, HsmError) as error:
        # An emergency does not wait until this is repaired.
        typer.echo(f"idp: {error}; a running server makes the next key by itself", err=True)
        return with_store(settings, change_alone)


async def _activate(
    life_cycle: LifeCycle, row: SigningKeyRow, at: str | None, *, force: bool, reason: str
) -> SigningKeyRow:
    moment_now = now()
    if at is not None:
        wanted = moment_of("--at", at)
    else:
        wanted = moment_now if force else life_cycle.earliest(row, moment_now)
    outcome = await life_cycle.schedule(
        row.kid, activates_at=wanted, force=force, by=by(reason), now=moment_now
    )
    if not isinstance(outcome, o.Changed):
        refuse_activation(row, outcome)
    scheduled = await row_of(life_cycle.store, row.kid)
    if wanted <= moment_now:
        # No need to wait for a server, which may not run.
        await life_cycle.turn(scheduled, by=by(reason), now=moment_now)
    done = await row_of(life_cycle.store, row.kid)
    if done.state not in ("next", "active"):
        raise CommandError(f"{done.kid} is {done.state}: somebody else was faster")
    return done
