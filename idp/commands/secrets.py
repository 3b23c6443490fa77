"""`idp secrets`: the named secrets that all nodes of the server share."""

from typing import Annotated, Any

import typer

from idp.commands.operating import by, now, settings_of, with_keys, with_store
from idp.commands.terminal import (
    CommandError,
    Config,
    Directory,
    Json,
    NeededReason,
    examples,
    group,
    moment,
    show,
    span,
    table,
)
from keys.life_cycle import LifeCycle
from keys.sealing import key_id_of
from keys.server_secrets import SERVER_SECRETS, new_version
from storage.records import ServerSecretRow

app = group(
    "The named server secrets.",
    "idp secrets list --config production.toml",
    'idp secrets rotate csrf --config production.toml --reason "yearly"',
)


@app.command("list", epilog=examples("idp secrets list --config production.toml"))
def list_secrets(
    *, config: Config = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show every version of every secret, never its value."""
    known = {secret.name: secret for secret in SERVER_SECRETS}
    rows = with_store(settings_of(config, directory), lambda store: store.server_secrets())
    described: list[dict[str, Any]] = [
        {
            "name": row.name,
            "version": row.version,
            "created_at": row.created_at,
            "superseded_at": row.superseded_at,
            "sealed_with": key_id_of(row.sealed),
            "rotates": row.name in known and known[row.name].rotates,
            "use": known[row.name].use if row.name in known else "",
        }
        for row in rows
    ]
    text = table(
        ("NAME", "VERSION", "MADE", "SUPERSEDED", "ROTATES", "SEALED WITH"),
        [
            (
                it["name"],
                str(it["version"]),
                moment(it["created_at"]),
                moment(it["superseded_at"]),
                "yes" if it["rotates"] else "no",
                it["sealed_with"],
            )
            for it in described
        ],
    )
    none_yet = "there are no secrets yet: a server makes them when it starts"
    show(described, text if described else none_yet, as_json=as_json)


@app.command(epilog=examples('idp secrets rotate csrf --config production.toml --reason "yearly"'))
def rotate(
    name: Annotated[str, typer.Argument(help="The secret's name.")],
    *,
    reason: NeededReason,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make a new version of a secret.

    Servers use it as soon as all of them know it; the old one still opens what it began for a day.
    """
    secret = next((it for it in SERVER_SECRETS if it.name == name), None)
    if secret is None:
        names = ", ".join(it.name for it in SERVER_SECRETS if it.rotates)
        raise CommandError(f"there is no secret {name}; these may rotate: {names}")
    if not secret.rotates:
        raise CommandError(f"{name} does not rotate: {secret.use}")
    settings = settings_of(config, directory)

    async def change(life_cycle: LifeCycle) -> ServerSecretRow:
        rows = await life_cycle.store.server_secrets()
        version = 1 + max((row.version for row in rows if row.name == name), default=0)
        made = new_version(name, version, life_cycle.sealer, now())
        rows = await life_cycle.store.server_secret_add(made, by=by(reason), now=now())
        if made.sealed not in {row.sealed for row in rows}:
            raise CommandError(f"somebody else has rotated {name} in this moment")
        return made

    made = with_keys(settings, change)
    settling = span(2 * settings.keys.propagation)
    show(
        {"name": name, "version": made.version},
        f"{name} has version {made.version}; servers use it in {settling}",
        as_json=as_json,
    )
