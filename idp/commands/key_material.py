"""`idp keys`, the part about what keys are made of: import, export, tokens."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from conf.model import ENCRYPTION_ALGORITHMS
from conf.settings import Settings
from idp.commands import key_reports
from idp.commands.key_steps import must_be_in_use, put_next, row_of
from idp.commands.operating import now, settings_of, with_keys
from idp.commands.terminal import (
    TAKES_ID,
    CommandError,
    Config,
    Directory,
    Json,
    Reason,
    examples,
    show,
    span,
)
from keys import sealed_keys
from keys.errors import UnusableKey
from keys.importing import read_signing_key
from keys.inspection import Inspection, inspect
from keys.jwk import read_public
from keys.life_cycle import LifeCycle
from keys.sealing import Sealer
from storage.records import SigningKeyRow

app = typer.Typer()


@app.command("import", epilog=examples("idp keys import key.pem RS256 --config production.toml"))
def import_key(
    file: Annotated[Path, typer.Argument(help="A private key: PEM or JWK; - is standard input.")],
    alg: Annotated[str, typer.Argument(help="The algorithm that it is for.")],
    *,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Make a key of another system the next one.

    It takes the place of the key that waits, and is published at once.
    """
    name = "standard input" if str(file) == "-" else str(file)
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CommandError(f"{name} cannot be read: {error.strerror}") from None

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        must_be_in_use(life_cycle, alg)
        if alg in ENCRYPTION_ALGORITHMS:
            raise CommandError("only signing keys can be imported")
        try:
            key = read_signing_key(content, alg)
        except UnusableKey as error:
            raise CommandError(f"{name} cannot be imported: {error}") from None
        return await put_next(life_cycle, life_cycle.as_next(key, now()), reason)

    key_reports.tell(with_keys(settings_of(config, directory), change), now(), as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples(
        "idp keys export --public --config production.toml > jwks.json",
        "idp keys export KID --public --pem --config production.toml",
    ),
)
def export(
    kid: Annotated[str | None, typer.Argument(help="One key; without it, the JWK Set.")] = None,
    *,
    public: Annotated[
        bool, typer.Option("--public", help="Required: private parts never leave.")
    ] = False,
    pem: Annotated[bool, typer.Option("--pem", help="PEM instead of a JWK; of one key.")] = False,
    config: Config = None,
    directory: Directory = None,
) -> None:
    """Print a public key, or the whole JWK Set.

    What is printed is proven by the key-encryption key, and not just what the store says.
    """
    if not public:
        raise typer.BadParameter("only public parts can be exported: say --public")
    if pem and kid is None:
        raise typer.BadParameter("--pem is for one key: name it")

    async def read(life_cycle: LifeCycle) -> dict[str, Any]:
        store, sealer = life_cycle.store, life_cycle.sealer
        if kid is None:
            return {"keys": _published(await store.signing_keys(), sealer)}
        row = await row_of(store, kid)
        if row.state == "revoked":
            raise CommandError(f"{kid} is revoked, and with that nothing proves its public part")
        return sealed_keys.open_public(row, sealer)

    exported = with_keys(settings_of(config, directory), read)
    if pem:
        typer.echo(read_public(exported).as_pem(private=False).decode("ascii"), nl=False)
    else:
        typer.echo(json.dumps(exported))


@app.command(
    epilog=examples(
        "idp keys verify eyJ... --config production.toml",
        "idp keys verify - --json --config production.toml < token.txt",
    )
)
def verify(
    token: Annotated[str, typer.Argument(help="A token; - is standard input.")],
    *,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Tell who signed a token, and whether it is good.

    The exit code is 1 if it is not. A token in an argument is seen by other users of this machine.
    """
    settings = settings_of(config, directory)
    presented = sys.stdin.read().strip() if token == "-" else token

    async def read(life_cycle: LifeCycle) -> Inspection:
        return inspect(presented, await life_cycle.store.signing_keys(), life_cycle.sealer)

    found = with_keys(settings, read)
    faults = _faults(found, settings, now())
    described = {
        "valid": not faults,
        "reason": "; ".join(faults) or found.reason,
        "kid": found.kid,
        "alg": found.alg,
        "typ": found.typ,
        "state": found.state,
        "claims": found.claims,
    }
    lines = [f"{'NOT valid' if faults else 'valid'}: {described['reason']}"]
    for name in ("kid", "alg", "state", "typ", "claims"):
        value = described[name]
        if value is not None:
            # A stolen key signs anything, also what a terminal would obey.
            quoted = name in ("typ", "claims")
            lines.append(f"{name:<8}{json.dumps(value) if quoted else value}")
    show(described, "\n".join(lines), as_json=as_json)
    raise typer.Exit(1 if faults else 0)


def _published(rows: Sequence[SigningKeyRow], sealer: Sealer) -> list[dict[str, Any]]:
    order = ("active", "next", "retiring")
    published = [
        row
        for row in rows
        # Nobody should begin to encrypt to a key that is about to go.
        if row.state in order and (row.use == "sig" or row.state != "retiring")
    ]
    published.sort(key=lambda row: (order.index(row.state), row.alg, row.kid))
    return [sealed_keys.open_public(row, sealer) for row in published]


def _faults(found: Inspection, settings: Settings, at: int) -> list[str]:
    """Why a token is not good. Whoever stole a key may have written anything into it."""
    faults = [] if found.valid else [found.reason]
    if found.claims is not None:
        expires_at = found.claims.get("exp", at + 1)
        if found.claims.get("iss") != settings.issuer:
            faults.append("its issuer is another one")
        if not isinstance(expires_at, int):
            faults.append("its exp is not a time")
        elif expires_at <= at:
            faults.append(f"it expired {span(at - expires_at)} ago")
    return faults
