"""`idp keys`, the part about the key-encryption keys, which seal all others."""

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from flows.client_registry import Registered
from idp.commands.key_reports import sealed_with
from idp.commands.operating import by, now, settings_of, with_keys, with_sealer
from idp.commands.terminal import (
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
from keys import sealed_keys, server_secrets
from keys.client_secrets import ClientSecretSealer
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import Sealer, create_key_encryption_key, key_id_of
from storage.records import (
    ResealedClient,
    ResealedKey,
    ResealedSecret,
    SealedPart,
    ServerSecretRow,
    SigningKeyRow,
)
from storage.store import Store

_BATCH = 20
_PAGE = 100

app = typer.Typer()


@app.command(epilog=examples("idp keys reseal --config production.toml --reason 'new key'"))
def reseal(
    *,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Change to the first key-encryption key.

    Seals every key and secret with it, those of `client_secret_jwt` clients included. Servers go on
    meanwhile, and what was interrupted goes on when repeated. First every server must have settings
    with both key-encryption keys, then this, then settings without the old one.
    """

    async def change(store: Store, sealer: Sealer) -> dict[str, Any]:
        keys = list(_resealed_keys(await store.signing_keys(), sealer))
        secrets = list(_resealed_secrets(await store.server_secrets(), sealer))
        clients = [it async for it in _resealed_clients(store, ClientSecretSealer(sealer))]
        total, done = len(keys) + len(secrets) + len(clients), 0
        while keys or secrets or clients:
            done += await store.reseal(
                keys[:_BATCH],
                secrets[:_BATCH],
                clients[:_BATCH],
                to=sealer.key_id,
                by=by(reason),
                now=now(),
            )
            keys, secrets, clients = keys[_BATCH:], secrets[_BATCH:], clients[_BATCH:]
            typer.echo(f"{done} of {total}", err=True)
        in_use = {sealed_with(row) for row in await store.signing_keys()}
        in_use |= {key_id_of(row.sealed) for row in await store.server_secrets()}
        async for client in _clients(store):
            in_use |= {key_id_of(it.sealed) for it in client.document.secrets if it.sealed}
        return {
            "resealed": done,
            "sealed_with": sealer.key_id,
            "others": sorted(it for it in in_use if it not in (None, sealer.key_id)),
        }

    told = with_sealer(settings_of(config, directory), change)
    text = f"{told['resealed']} resealed; all is sealed with {told['sealed_with']}"
    if told["others"]:
        # A server with the old settings may have sealed something in this very moment.
        others = ", ".join(told["others"])
        text = f"{told['resealed']} resealed, but {others} still seals something: repeat it"
    show(told, text, as_json=as_json)
    raise typer.Exit(1 if told["others"] else 0)


@app.command(
    epilog=examples('idp keys abandon --reason "the key-encryption key is lost" --config idp.toml')
)
def abandon(
    *,
    reason: NeededReason,
    yes: Yes = False,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Begin anew after the loss of the key-encryption key.

    Revokes every key, removes every server secret, and makes new ones under the key-encryption key
    of the settings. All tokens end: customers sign in anew. Stop the servers first; those that run
    would go on with the old keys, which they have in memory. `client_secret_jwt` clients need new
    secrets: `idp clients rotate-secret CLIENT --keep-old 0s`.
    """
    settings = settings_of(config, directory)
    confirm(f"Every token of {settings.issuer} will be refused.", "abandon", yes=yes)

    async def change(life_cycle: LifeCycle) -> int:
        abandoned = await life_cycle.store.keys_abandon(by=by(reason), now=now())
        await KeyRing.open(life_cycle, now())
        return abandoned

    abandoned = with_keys(settings, change, lost=True)
    text = f"{abandoned} keys and secrets are abandoned; new ones are in their place"
    show({"abandoned": abandoned}, text, as_json=as_json)


@app.command(epilog=examples("idp keys create-encryption-key /etc/idp/key-encryption-key"))
def create_encryption_key(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not exist.")],
) -> None:
    """Make a key-encryption key.

    It seals the keys and secrets in the store. An installation needs one before its first start,
    and can never again do without it.
    """
    try:
        create_key_encryption_key(file)
    except OSError as error:
        raise CommandError(f"{file} cannot be made: {error.strerror}") from None
    typer.echo(f"{file} is made: keep a second copy at another place")


def _resealed_keys(rows: Sequence[SigningKeyRow], sealer: Sealer) -> Iterator[ResealedKey]:
    for row in rows:
        parts: tuple[tuple[SealedPart, str | None, str], ...] = (
            ("sealed_private", row.sealed_private, sealed_keys.private_label(row)),
            ("sealed_public", row.sealed_public, sealed_keys.public_label(row)),
        )
        for field, old, label in parts:
            new = sealer.reseal(old, label=label) if old is not None else None
            if old is not None and new is not None:
                yield ResealedKey(row.kid, field, old, new)


def _resealed_secrets(rows: Sequence[ServerSecretRow], sealer: Sealer) -> Iterator[ResealedSecret]:
    for row in rows:
        new = sealer.reseal(row.sealed, label=server_secrets.label(row.name, row.version))
        if new is not None:
            yield ResealedSecret(row.name, row.version, row.sealed, new)


async def _clients(store: Store) -> AsyncIterator[Registered]:
    after: str | None = ""
    while after is not None:
        page = await store.clients_page(after=after, limit=_PAGE)
        for row in page.clients:
            yield Registered.of(row)
        after = page.after


async def _resealed_clients(
    store: Store, sealer: ClientSecretSealer
) -> AsyncIterator[ResealedClient]:
    async for client in _clients(store):
        row, secrets = client.row, []
        for secret in client.document.secrets:
            new = sealer.reseal(row.client_id, secret.sealed) if secret.sealed is not None else None
            secrets.append(msgspec.structs.replace(secret, sealed=new or secret.sealed))
        if tuple(secrets) != client.document.secrets:
            document = msgspec.structs.replace(client.document, secrets=tuple(secrets))
            yield ResealedClient(row.client_id, row.document, document.as_json())
