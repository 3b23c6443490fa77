"""`idp keys`, the part about what keys are made of: import, export, tokens, sealing."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from idp.commands import key_reports
from idp.commands.key_steps import known_algorithm, replace, row_of
from idp.commands.operating import actor, now, settings_of, with_keys
from idp.commands.terminal import (
    CommandError,
    Config,
    Directory,
    Json,
    Reason,
    examples,
    moment,
    show,
)
from keys import sealed_keys, server_secrets
from keys.errors import UnusableKey
from keys.importing import read_signing_key
from keys.inspection import Inspection, inspect
from keys.life_cycle import ENCRYPTION_ALG, LifeCycle
from keys.sealing import Sealer, create_key_encryption_key, key_id_of
from keys.signing import VerificationKey
from storage.records import (
    By,
    ResealedKey,
    ResealedSecret,
    SealedPart,
    ServerSecretRow,
    SigningKeyRow,
)

_BATCH = 20

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
    """Bring a key of another system along, as the next key in the place of the one that waits."""
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}") from None

    async def change(life_cycle: LifeCycle) -> SigningKeyRow:
        known_algorithm(life_cycle, alg)
        if alg == ENCRYPTION_ALG:
            raise CommandError("only signing keys can be imported")
        try:
            key = read_signing_key(content, alg)
        except UnusableKey as error:
            raise CommandError(f"{file} cannot be imported: {error}") from None
        await replace(life_cycle, life_cycle.as_next(key, now()), reason)
        return await row_of(life_cycle, key.kid)

    row = with_keys(settings_of(config, directory), change)
    show(key_reports.as_json(row), f"{row.kid} is the next key for {alg}", as_json=as_json)


@app.command(
    epilog=examples(
        "idp keys export --public --config production.toml > jwks.json",
        "idp keys export KID --public --pem --config production.toml",
    )
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
    """Print public keys: one of them, or the JWK Set as relying parties see it."""
    if not public:
        raise typer.BadParameter("only public parts can be exported: say --public")
    if pem and kid is None:
        raise typer.BadParameter("--pem is for one key: name it")

    async def read(life_cycle: LifeCycle) -> list[SigningKeyRow]:
        if kid is not None:
            return [await row_of(life_cycle, kid)]
        rows = await life_cycle.store.signing_keys()
        return [row for row in rows if row.state in ("active", "next", "retiring")]

    rows = with_keys(settings_of(config, directory), read)
    jwks: list[Any] = [row.public_jwk for row in rows]
    if pem:
        typer.echo(VerificationKey.from_public_jwk(jwks[0]).public_pem(), nl=False)
    else:
        value = jwks[0] if kid is not None else {"keys": jwks}
        show(value, "", as_json=True)


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
    """Tell which key signed a token, in which state it is, and whether the token is good.

    The exit code is 1 if it is not. A token in an argument is seen by other users of this machine.
    """
    settings = settings_of(config, directory)
    presented = sys.stdin.read().strip() if token == "-" else token

    async def read(life_cycle: LifeCycle) -> Inspection:
        return inspect(presented, await life_cycle.store.signing_keys(), life_cycle.sealer)

    found = with_keys(settings, read)
    claims = dict(found.claims or {})
    expires_at = claims.get("exp")
    faults = [] if found.valid else [found.reason]
    if found.claims is not None and claims.get("iss") != settings.issuer:
        faults.append("its issuer is another one")
    if isinstance(expires_at, int) and expires_at <= now():
        faults.append(f"it expired at {moment(expires_at)}")
    verdict = "; ".join(faults) or found.reason
    described = {
        "valid": not faults,
        "reason": verdict,
        "kid": found.kid,
        "alg": found.alg,
        "typ": found.typ,
        "state": found.state,
        "claims": found.claims,
    }
    lines = [f"{'valid' if not faults else 'NOT valid'}: {verdict}"]
    lines += [
        f"{name:<6} {described[name]}"
        for name in ("kid", "alg", "typ", "state")
        if described[name] is not None
    ]
    show(described, "\n".join(lines), as_json=as_json)
    raise typer.Exit(1 if faults else 0)


@app.command(epilog=examples("idp keys reseal --config production.toml --reason 'new key'"))
def reseal(
    *,
    reason: Reason = "",
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Seal every key and secret with the first of the key-encryption keys in the settings.

    Servers go on meanwhile, and if interrupted it goes on where it was. First every server must
    have settings with both key-encryption keys, then this, then settings without the old one.
    """

    async def change(life_cycle: LifeCycle) -> dict[str, Any]:
        store, sealer, by = life_cycle.store, life_cycle.sealer, By(actor(), reason or None)
        keys = list(_resealed_keys(await store.signing_keys(), sealer))
        secrets = list(_resealed_secrets(await store.server_secrets(), sealer))
        total, done = len(keys) + len(secrets), 0
        while keys or secrets:
            done += await store.reseal(
                keys[:_BATCH], secrets[:_BATCH], to=sealer.key_id, by=by, now=now()
            )
            keys, secrets = keys[_BATCH:], secrets[_BATCH:]
            typer.echo(f"{done} of {total}", err=True)
        in_use = {key_reports.sealed_with(row) for row in await store.signing_keys()}
        in_use |= {key_id_of(row.sealed) for row in await store.server_secrets()}
        return {
            "resealed": done,
            "sealed_with": sealer.key_id,
            "others": sorted(it for it in in_use if it not in (None, sealer.key_id)),
        }

    told = with_keys(settings_of(config, directory), change)
    text = f"{told['resealed']} resealed; all is sealed with {told['sealed_with']}"
    if told["others"]:
        # A server with the old settings may have sealed something in this very moment.
        others = ", ".join(told["others"])
        text = f"{told['resealed']} resealed, but {others} still seals something: repeat it"
    show(told, text, as_json=as_json)
    raise typer.Exit(1 if told["others"] else 0)


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
