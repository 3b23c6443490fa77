"""`idp clients`: who may use the provider."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from conf.settings import Settings
from flows.client_metadata import AUTH_METHODS, ClientMetadata, InvalidClientMetadata
from flows.client_registry import Registered
from flows.client_validation import validate
from idp.commands import client_steps
from idp.commands.client_reports import as_table, as_text, described, hand_out
from idp.commands.client_steps import ClientId, managed_here, must_be_changed, read, registry
from idp.commands.operating import settings_of, with_sealer, with_store
from idp.commands.terminal import (
    TAKES_ID,
    CommandError,
    Config,
    Directory,
    Json,
    Reason,
    examples,
    group,
    show,
)
from keys.client_secrets import ClientSecretSealer
from keys.sealing import Sealer
from storage import outcomes as o
from storage.store import Store

app = group(
    "The clients of channels and partners.",
    "idp clients list --config production.toml",
    "idp clients create my-shop --channel shop --name 'My shop' \\\n"
    "      --redirect-uri https://shop.example/callback --config production.toml",
    "idp clients rotate-secret my-shop --keep-old 24h --config production.toml",
)
app.add_typer(client_steps.app)

_PAGE: Final = 100
# As in channels files: no encoding ever changes it.
_CLIENT_ID: Final = re.compile(r"[A-Za-z0-9._~-]{1,100}")

Metadata = Annotated[
    Path | None,
    typer.Option(help="Metadata of RFC 7591 (JSON); what other options say takes its place."),
]
Name = Annotated[str | None, typer.Option(help="What customers call it.")]
RedirectUris = Annotated[
    list[str] | None, typer.Option("--redirect-uri", help="May be given several times.")
]
LogoutUris = Annotated[
    list[str] | None,
    typer.Option("--post-logout-redirect-uri", help="May be given several times."),
]
GrantTypes = Annotated[
    list[str] | None, typer.Option("--grant-type", help="May be given several times.")
]
AuthenticationMethod = Annotated[
    str | None, typer.Option("--auth-method", help=f"One of {', '.join(AUTH_METHODS)}.")
]
ApplicationType = Annotated[str | None, typer.Option(help="web or native.")]
Scope = Annotated[str | None, typer.Option(help="All that it may ask for, with spaces between.")]
Jwks = Annotated[Path | None, typer.Option(help="Its public keys: a JWK Set (JSON).")]
JwksUri = Annotated[str | None, typer.Option(help="Where it publishes its public keys.")]


@app.command(
    "list",
    epilog=examples(
        "idp clients list --config production.toml",
        "idp clients list --channel shop --limit 1000 --json --directory var",
    ),
)
def list_clients(
    *,
    channel: Annotated[str | None, typer.Option(help="Those of one channel.")] = None,
    after: Annotated[str, typer.Option(help="Go on where a list ended.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show the clients, in the order of their identifiers."""

    async def found(store: Store) -> list[Registered]:
        clients: list[Registered] = []
        place: str | None = after
        while place is not None and len(clients) <= limit:
            page = await store.clients_page(after=place, limit=_PAGE)
            clients += [
                Registered.of(row) for row in page.clients if channel in (None, row.channel_id)
            ]
            place = page.after
        return clients

    clients = with_store(settings_of(config, directory), found)
    shown = clients[:limit]
    more = shown[-1].row.client_id if len(clients) > limit else None
    text = as_table(shown) + (f"\nmore: --after {more}" if more else "")
    show({"clients": [described(it) for it in shown], "after": more}, text, as_json=as_json)


@app.command(
    "show",
    context_settings=TAKES_ID,
    epilog=examples("idp clients show my-shop --config production.toml"),
)
def show_client(
    client_id: ClientId,
    *,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show all about one client, but its secrets."""
    client = with_store(settings_of(config, directory), lambda store: read(store, client_id))
    show(described(client), as_text(client), as_json=as_json)


@app.command(
    epilog=examples(
        "idp clients create my-shop --channel shop --name 'My shop' \\\n"
        "      --redirect-uri https://shop.example/callback --config production.toml",
        "idp clients create my-bot --channel shop --metadata bot.json --config production.toml",
    )
)
def create(
    client_id: ClientId,
    *,
    channel: Annotated[str, typer.Option(help="The channel that it belongs to.")],
    metadata: Metadata = None,
    name: Name = None,
    redirect_uri: RedirectUris = None,
    post_logout_redirect_uri: LogoutUris = None,
    grant_type: GrantTypes = None,
    auth_method: AuthenticationMethod = None,
    application_type: ApplicationType = None,
    scope: Scope = None,
    jwks: Jwks = None,
    jwks_uri: JwksUri = None,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make a client of a channel, and print its secret once.

    What is not said is as RFC 7591 and OpenID Connect Registration have it. Applying the channel's
    file leaves it alone.
    """
    if not _CLIENT_ID.fullmatch(client_id):
        raise CommandError("an identifier has letters, digits and . _ ~ -, and at most 100 of them")
    if not channel:
        raise typer.BadParameter("--channel must name one")
    settings = settings_of(config, directory)
    given = _given(
        metadata,
        jwks,
        client_name=name,
        redirect_uris=redirect_uri,
        post_logout_redirect_uris=post_logout_redirect_uri,
        grant_types=grant_type,
        token_endpoint_auth_method=auth_method,
        application_type=application_type,
        scope=scope,
        jwks_uri=jwks_uri,
    )
    checked = _checked(settings, given)

    async def change(store: Store, sealer: Sealer) -> str | None:
        created, secret = await registry(store, reason).create(
            client_id, channel, checked, sealer=ClientSecretSealer(sealer)
        )
        if isinstance(created, o.Unknown):
            raise CommandError(f"there is no channel {channel}")
        must_be_changed(created, client_id)
        return secret

    hand_out(client_id, with_sealer(settings, change), "created", as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples(
        "idp clients update my-shop --redirect-uri https://shop.example/new \\\n"
        "      --redirect-uri https://shop.example/old --config production.toml",
        "idp clients update my-shop --metadata changes.json --config production.toml",
    ),
)
def update(
    client_id: ClientId,
    *,
    metadata: Metadata = None,
    name: Name = None,
    redirect_uri: RedirectUris = None,
    post_logout_redirect_uri: LogoutUris = None,
    grant_type: GrantTypes = None,
    auth_method: AuthenticationMethod = None,
    application_type: ApplicationType = None,
    scope: Scope = None,
    jwks: Jwks = None,
    jwks_uri: JwksUri = None,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Change what a client is registered for.

    Members that are not named stay as they are; one that is null in the file gets its default. A
    client that comes to need a secret gets one, which is printed once.
    """
    settings = settings_of(config, directory)
    given = _given(
        metadata,
        jwks,
        client_name=name,
        redirect_uris=redirect_uri,
        post_logout_redirect_uris=post_logout_redirect_uri,
        grant_types=grant_type,
        token_endpoint_auth_method=auth_method,
        application_type=application_type,
        scope=scope,
        jwks_uri=jwks_uri,
    )

    async def change(store: Store, sealer: Sealer) -> str | None:
        known = await managed_here(store, client_id)
        if known.row.source == "registration":
            # Within limits that were agreed on, which are none of ours to judge here.
            raise CommandError(f"{client_id} is its partner's, who updates it (RFC 7592)")
        checked = _checked(settings, known.document.metadata.registered() | given)
        changed, secret = await registry(store, reason).update(
            known, checked, sealer=ClientSecretSealer(sealer)
        )
        must_be_changed(changed, client_id)
        return secret

    hand_out(client_id, with_sealer(settings, change), "updated", as_json=as_json)


def _given(metadata: Path | None, jwks: Path | None, **options: str | Sequence[str] | None) -> Any:
    given: dict[str, Any] = _json_object(metadata) if metadata is not None else {}
    if jwks is not None:
        given["jwks"] = _json_object(jwks)
    return given | {name: value for name, value in options.items() if value not in (None, [])}


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise CommandError(f"{path} is not JSON") from None
    if not isinstance(value, dict):
        raise CommandError(f"{path} is not a JSON object")
    return value


def _checked(settings: Settings, metadata: dict[str, Any]) -> ClientMetadata:
    try:
        return validate(
            metadata, algorithms=settings.keys.algorithms, development=settings.development
        )
    except InvalidClientMetadata as error:
        raise CommandError("; ".join(what for _, what in error.faults)) from None
