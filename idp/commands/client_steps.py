"""`idp clients`, the part about what is done to a client that is there."""

from typing import Annotated, Final

import typer

from flows.client_registry import ClientRegistry, Registered
from flows.client_secrets import has_secret
from idp.commands.client_reports import MANAGERS, hand_out
from idp.commands.operating import by, now, settings_of, with_sealer, with_store
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
    show,
)
from idp.commands.times import duration_of
from keys.client_secrets import ClientSecretSealer
from keys.sealing import Sealer
from storage import outcomes as o
from storage.store import Store

app = typer.Typer()

ClientId = Annotated[str, typer.Argument(metavar="CLIENT", help="The client's identifier.")]

_STALE: Final = "somebody has changed it in this moment: look at it, and repeat the command"


@app.command(
    context_settings=TAKES_ID,
    epilog=examples(
        "idp clients rotate-secret my-shop --keep-old 24h --config production.toml",
        'idp clients rotate-secret my-shop --keep-old 0s --reason "it leaked" --directory var',
    ),
)
def rotate_secret(
    client_id: ClientId,
    *,
    keep_old: Annotated[
        str, typer.Option(metavar="AGE", help="For how long the old secret stays good.")
    ] = "24h",
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Give a client a new secret, and print it once.

    Every server knows it within a second or two. Of older secrets the newest stays good for a
    while, so that the client's hosts can be changed one by one.
    """
    keep = duration_of("--keep-old", keep_old)

    async def change(store: Store, sealer: Sealer) -> str | None:
        known = await managed_here(store, client_id)
        if not has_secret(known.document.metadata):
            method = known.document.metadata.token_endpoint_auth_method
            raise CommandError(f"{client_id} has no secret: it authenticates by {method}")
        changed, secret = await registry(store, reason).rotate_secret(
            known, keep_old=keep, sealer=ClientSecretSealer(sealer)
        )
        must_be_changed(changed, client_id)
        return secret

    secret = with_sealer(settings_of(config, directory), change)
    hand_out(client_id, secret, "a new secret for", as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples('idp clients disable my-shop --reason "a leak" --config production.toml'),
)
def disable(
    client_id: ClientId,
    *,
    reason: NeededReason,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let a client do nothing any more.

    All that it was given ends at once. Within a second or two no server knows it. Its
    registration stays: `enable` brings it back.
    """

    async def change(store: Store) -> o.ClientUpdate:
        return await registry(store, reason).disable(await read(store, client_id))

    must_be_changed(with_store(settings_of(config, directory), change), client_id)
    _tell(client_id, "disabled", as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples('idp clients enable my-shop --reason "it is mended" --config production.toml'),
)
def enable(
    client_id: ClientId,
    *,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let a client that was disabled go on.

    What it was given before is not good again: its customers sign in anew.
    """

    async def change(store: Store) -> o.ClientUpdate:
        return await registry(store, reason).enable(await read(store, client_id))

    must_be_changed(with_store(settings_of(config, directory), change), client_id)
    _tell(client_id, "enabled", as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples('idp clients delete my-shop --reason "closed" --config production.toml'),
)
def delete(
    client_id: ClientId,
    *,
    reason: NeededReason,
    yes: Yes = False,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Remove a client for ever.

    All that it was given ends at once. It asks for the client's identifier first.
    """
    settings = settings_of(config, directory)
    with_store(settings, lambda store: managed_here(store, client_id))
    confirm(f"This removes {client_id}, and cannot be undone.", client_id, yes=yes)

    async def change(store: Store) -> o.ClientDelete:
        return await registry(store, reason).delete(client_id)

    must_be_changed(with_store(settings, change), client_id)
    _tell(client_id, "deleted", as_json=as_json)


async def read(store: Store, client_id: str) -> Registered:
    """A client by its identifier. Raises CommandError."""
    found = await store.client_read(client_id)
    if isinstance(found, o.Unknown):
        raise CommandError(f"there is no client {client_id}: see `idp clients list`")
    return Registered.of(found.client)


async def managed_here(store: Store, client_id: str) -> Registered:
    """The same, of one that these commands may change for good. Raises CommandError."""
    known = await read(store, client_id)
    if known.row.source == "channels":
        raise CommandError(
            f"{client_id} is managed by {MANAGERS['channels']}, which would undo this when it is "
            "applied again: change it there"
        )
    return known


def registry(store: Store, reason: str) -> ClientRegistry:
    """What changes clients in the name of whoever runs this command."""
    return ClientRegistry(store, by=by(reason), now=now())


def must_be_changed(
    outcome: o.ClientCreate | o.ClientUpdate | o.ClientDelete, client_id: str
) -> None:
    """Raise CommandError if nothing was changed."""
    match outcome:
        case o.Stale():
            raise CommandError(f"{client_id} is as it was: {_STALE}")
        case o.Unknown():
            raise CommandError(f"there is no client {client_id} any more")
        case o.Exists():
            raise CommandError(f"{client_id} is taken: see `idp clients show {client_id}`")
        case _:
            pass


def _tell(client_id: str, done: str, *, as_json: bool) -> None:
    show({"client_id": client_id, "done": done}, f"{done}: {client_id}", as_json=as_json)
