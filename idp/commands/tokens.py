"""`idp tokens`: one token, taken back."""

import sys
from typing import Annotated

import typer

from conf.settings import Settings
from flows import refresh_tokens
from flows.issue import ACCESS_TOKEN_ALG, ACCESS_TOKEN_TYP
from idp.commands.operating import by, now, settings_of, with_keys, with_store
from idp.commands.terminal import (
    TAKES_ID,
    CommandError,
    Config,
    Directory,
    Json,
    NeededReason,
    examples,
    group,
    moment,
    show,
)
from keys.errors import InvalidToken
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from storage import outcomes as o
from storage.store import Store

app = group(
    "One token, taken back.",
    'idp tokens revoke - --reason "found in a log" --config production.toml < token',
)


@app.callback()
def _tokens() -> None:
    """Keeps `revoke` a command of its own while it is the only one."""


@app.command(
    context_settings=TAKES_ID,
    epilog=examples(
        'idp tokens revoke - --reason "found in a log" --config production.toml < token',
        'idp tokens revoke --jti a7T...Q.Zp3...w --reason "found in a log" --directory var',
        'idp tokens revoke --grant a7T...Q --reason "a lost device" --directory var --json',
    ),
)
def revoke(
    token: Annotated[
        str | None,
        typer.Argument(help="An access or refresh token; - reads it from standard input."),
    ] = None,
    *,
    jti: Annotated[str | None, typer.Option(help="The `jti` of an access token.")] = None,
    grant: Annotated[str | None, typer.Option(help="A grant: the `jti` up to its dot.")] = None,
    reason: NeededReason,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Take an access token back, or the whole grant that a refresh token belongs to.

    Give the token on standard input, for arguments show in the list of processes. Userinfo
    refuses it at once; an app that checks access tokens by itself accepts it until it expires.
    """
    if sum(given is not None for given in (token, jti, grant)) != 1:
        raise typer.BadParameter("give one of TOKEN, --jti and --grant")
    settings = settings_of(config, directory)
    if token is not None:
        jti, grant = _read(settings, sys.stdin.readline().strip() if token == "-" else token)

    async def work(store: Store) -> o.TokenWithdraw:
        if jti is None:
            return await store.grant_withdraw(grant or "", by=by(reason), now=now())
        return await store.access_token_withdraw(
            grant_id=jti.partition(".")[0], jti=jti, by=by(reason), now=now()
        )

    what = f"the access token {jti}" if jti is not None else f"the grant {grant}"
    if isinstance(with_store(settings, work), o.Unknown):
        raise CommandError(f"{what} is not known; its grant may have ended before")
    # The store knows grants, not tokens: a mistyped second half of a `jti` is nobody's.
    told = f"refused from now on: {what}" if token is None and jti else f"revoked: {what}"
    show({"jti": jti, "grant": grant}, told, as_json=as_json)


def _read(settings: Settings, token: str) -> tuple[str | None, str | None]:
    """What a token is: the `jti` of an access token, or the grant of a refresh token."""

    async def known(life_cycle: LifeCycle) -> tuple[str | None, str | None]:
        ring = await KeyRing.open(life_cycle, now())
        grant_id = refresh_tokens.grant_of(ring.secret("refresh"), token)
        if grant_id is not None:
            return None, grant_id
        try:
            claims = ring.verify(token, typ=ACCESS_TOKEN_TYP, algs=(ACCESS_TOKEN_ALG,))
        except InvalidToken as error:
            raise CommandError(f"that is no token of ours in use: {error.reason}") from None
        if claims["exp"] <= now():
            raise CommandError(f"the access token expired at {moment(claims['exp'])} by itself")
        return str(claims.get("jti")), None

    return with_keys(settings, known)
