"""`idp registration`: who may register clients (RFC 7591), and for what."""

from typing import Annotated, Any, Final

import msgspec
import typer

from conf.registration_settings import HOST
from flows import initial_access_tokens
from flows.claims import OPENID, SCOPE_SYNTAX, SCOPES
from flows.clients import RegistrationPolicy
from flows.grants.names import AUTHORIZATION_CODE, CLIENT_CREDENTIALS
from flows.initial_access_tokens import policy_of
from flows.registration_policy import PARTNERS_GRANT_TYPES
from flows.uris import resource_fault
from idp.commands.operating import by, now, settings_of, with_store
from idp.commands.terminal import (
    TAKES_ID,
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
    table,
)
from idp.commands.times import duration_of
from storage import outcomes as o
from storage.records import InitialAccessToken
from storage.store import Store

_CREATE: Final = (
    "idp registration tokens create --scope openid --scope profile \\\n"
    "      --redirect-host partner.example --clients 3 --config production.toml"
)
_LIST: Final = "idp registration tokens list --config production.toml"

app = group("Dynamic registration by partners.", _CREATE, _LIST)
tokens = group(
    "Initial access tokens, by which partners register clients within a policy.", _CREATE, _LIST
)
app.add_typer(tokens, name="tokens")

_MOST_SECONDS: Final = 366 * 86_400


@app.callback()
def _registration() -> None:
    """Keeps `tokens` a group of its own while it is the only one."""


@tokens.command(
    epilog=examples(
        _CREATE,
        "idp registration tokens create --scope openid --redirect-host partner.example \\\n"
        "      --grant-type authorization_code --grant-type refresh_token --clients 10 \\\n"
        "      --expires 7d --verified --reason 'contract 42' --config production.toml",
    )
)
def create(
    *,
    scope: Annotated[
        list[str] | None, typer.Option(help=f"May be given several times; default: {OPENID}.")
    ] = None,
    grant_type: Annotated[
        list[str] | None,
        typer.Option(help=f"May be given several times; default: {AUTHORIZATION_CODE}."),
    ] = None,
    redirect_host: Annotated[
        list[str] | None,
        typer.Option(help="Where customers may be sent, exactly; may be given several times."),
    ] = None,
    any_redirect_host: Annotated[
        bool, typer.Option("--any-redirect-host", help="Customers may be sent anywhere.")
    ] = False,
    service_scope: Annotated[
        list[str] | None,
        typer.Option(help=f"What a service may ask for in its own name ({CLIENT_CREDENTIALS})."),
    ] = None,
    resource: Annotated[
        list[str] | None, typer.Option(help="What its tokens may be for (RFC 8707).")
    ] = None,
    clients: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many clients it is good for.")
    ] = 1,
    expires: Annotated[str, typer.Option(metavar="AGE", help="For how long it is good.")] = "30d",
    verified: Annotated[
        bool, typer.Option("--verified", help="We know the partner: its logo is shown, no warning.")
    ] = False,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make a token for a partner, and print it once.

    Clients that are registered with it stay within its policy for ever.
    """
    policy = RegistrationPolicy(
        scopes=tuple(scope or (OPENID,)),
        grant_types=tuple(grant_type or (AUTHORIZATION_CODE,)),
        redirect_hosts=tuple(redirect_host or ()),
        service_scopes=tuple(service_scope or ()),
        resources=tuple(resource or ()),
        verified=verified,
    )
    _check(policy, any_redirect_host=any_redirect_host)
    at = now()
    seconds = duration_of("--expires", expires)
    if not 0 < seconds <= _MOST_SECONDS:
        raise typer.BadParameter(f"--expires {expires}: must be at most a year, and not nothing")

    async def work(store: Store) -> tuple[str, str]:
        return await initial_access_tokens.create(
            store,
            policy,
            most_clients=clients,
            expires_at=at + seconds,
            by=by(reason),
            now=at,
        )

    token_id, token = with_store(settings_of(config, directory), work)
    show(
        {
            "token_id": token_id,
            "initial_access_token": token,
            "most_clients": clients,
            "expires_at": at + seconds,
            "policy": msgspec.to_builtins(policy),
        },
        f"created: {token_id}, for {clients} client(s), until {moment(at + seconds)}\n"
        f"initial access token, shown this once: {token}",
        as_json=as_json,
    )


def _check(policy: RegistrationPolicy, *, any_redirect_host: bool) -> None:
    for option, given, known in (
        ("--scope", policy.scopes, SCOPES),
        ("--grant-type", policy.grant_types, PARTNERS_GRANT_TYPES),
    ):
        for value in given:
            if value not in known:
                raise typer.BadParameter(f"{option} {value}: must be one of {', '.join(known)}")
    for host in policy.redirect_hosts:
        if not HOST.pattern.fullmatch(host):
            raise typer.BadParameter(f"--redirect-host {host}: {HOST.what}")
    _check_service(policy)
    redirects = AUTHORIZATION_CODE in policy.grant_types
    if redirects and bool(policy.redirect_hosts) == any_redirect_host:
        raise typer.BadParameter("give either --redirect-host or --any-redirect-host")


def _check_service(policy: RegistrationPolicy) -> None:
    if (CLIENT_CREDENTIALS in policy.grant_types) != bool(policy.service_scopes):
        raise typer.BadParameter(f"--service-scope goes with --grant-type {CLIENT_CREDENTIALS}")
    for value in policy.service_scopes:
        if value in SCOPES or not SCOPE_SYNTAX.fullmatch(value) or " " in value:
            raise typer.BadParameter(f"--service-scope {value}: must be one of a resource's own")
    for uri in policy.resources:
        fault = resource_fault(uri)
        if fault:
            raise typer.BadParameter(f"--resource {uri}: {fault}")


@tokens.command("list", epilog=examples(_LIST))
def list_tokens(
    *, config: Config = None, directory: Directory = None, as_json: Json = False
) -> None:
    """The tokens that have not expired, or only a moment ago; never the tokens themselves."""

    async def work(store: Store) -> list[InitialAccessToken]:
        return await store.initial_access_tokens_list()

    at = now()
    found = sorted(with_store(settings_of(config, directory), work), key=lambda it: it.created_at)
    show([_described(it, at) for it in found], _as_table(found, at), as_json=as_json)


def _described(token: InitialAccessToken, at: int) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.to_builtins(token)
    policy = msgspec.to_builtins(policy_of(token))
    return described | {"policy": policy, "state": _state(token, at)}


def _as_table(found: list[InitialAccessToken], at: int) -> str:
    header = ("TOKEN", "STATE", "CLIENTS", "EXPIRES", "SCOPES", "HOSTS", "VERIFIED", "BY")
    rows = []
    for it in found:
        policy = policy_of(it)
        rows.append(
            (
                it.token_id,
                _state(it, at),
                f"{it.registered}/{it.most_clients}",
                moment(it.expires_at),
                " ".join(policy.scopes),
                " ".join(policy.redirect_hosts) or "any",
                "yes" if policy.verified else "no",
                it.created_by,
            )
        )
    return table(header, rows)


def _state(token: InitialAccessToken, at: int) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if at >= token.expires_at:
        return "expired"
    return "used up" if token.registered >= token.most_clients else "good"


@tokens.command(
    context_settings=TAKES_ID,
    epilog=examples(
        'idp registration tokens revoke Zp3...w --reason "it leaked" --config production.toml'
    ),
)
def revoke(
    token_id: Annotated[
        str, typer.Argument(metavar="TOKEN", help="Its identifier, as `list` has it.")
    ],
    *,
    reason: NeededReason,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let no more clients be registered with a token.

    Those that were registered stay: see `idp clients list`.
    """

    async def work(store: Store) -> o.InitialAccessTokenRevoke:
        return await store.initial_access_token_revoke(token_id, by=by(reason), now=now())

    if isinstance(with_store(settings_of(config, directory), work), o.Unknown):
        raise CommandError(f"there is no token {token_id}: see `idp registration tokens list`")
    show({"token_id": token_id, "done": "revoked"}, f"revoked: {token_id}", as_json=as_json)
