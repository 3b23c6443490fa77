"""What the commands about keys have in common."""

from typing import NoReturn

import typer

from conf.model import ENCRYPTION_ALGORITHMS
from conf.settings import Settings
from idp.commands.key_reports import NONE_YET
from idp.commands.operating import by, now, with_store
from idp.commands.terminal import CommandError, moment, span
from keys.life_cycle import LifeCycle, policy_of
from storage import outcomes as o
from storage.key_store import KeyStore
from storage.records import SigningKeyRow
from storage.store import Store


def in_use(settings: Settings) -> tuple[str, ...]:
    """Every algorithm in use: those that sign, and those of our own encryption key."""
    return (*settings.keys.algorithms, *ENCRYPTION_ALGORITHMS)


async def put_next(life_cycle: LifeCycle, successor: SigningKeyRow, reason: str) -> SigningKeyRow:
    """Put a key in the place of the one that waits, and return it. Raises CommandError."""
    outcome = await life_cycle.replace(successor, by=by(reason), now=now())
    match outcome:
        case o.Changed():
            # When it begins depends on since when the active key signs.
            rows = await life_cycle.store.signing_keys()
            await life_cycle.complete(rows, now(), plan=True)
            done = await row_of(life_cycle.store, successor.kid)
            if done.state != "next":
                raise CommandError(f"{done.kid} is {done.state}: somebody else was faster")
            return done
        case o.WrongState():
            raise CommandError(_known(await row_of(life_cycle.store, successor.kid)))
        case _:
            raise CommandError(NONE_YET)


async def row_of(store: KeyStore, kid: str) -> SigningKeyRow:
    """The key with this id. Raises CommandError."""
    for row in await store.signing_keys():
        if row.kid == kid:
            return row
    raise CommandError(f"there is no key {kid}: see `idp keys list`")


def warn_of_young_key(settings: Settings, revoked: SigningKeyRow) -> None:
    """Say so where a key signs from now on that not everybody can know yet."""
    if revoked.activated_at is None or revoked.retires_at is not None:
        return  # it did not sign

    async def active(store: Store) -> list[SigningKeyRow]:
        rows = await store.signing_keys()
        return [row for row in rows if (row.alg, row.state) == (revoked.alg, "active")]

    for row in with_store(settings, active):
        known_at = row.created_at + policy_of(settings.keys).publish_ahead
        if known_at > now():
            age = span(now() - row.created_at)
            typer.echo(
                f"idp: {row.kid} signs now and is published for only {age}: "
                f"apps that keep the JWK Set may fail until {moment(known_at)}",
                err=True,
            )


def must_be_in_use(life_cycle: LifeCycle, alg: str) -> None:
    """Raise CommandError unless an algorithm is in use."""
    if alg not in life_cycle.algorithms:
        raise CommandError(f"{alg} is not in use: it must be {_one_of(life_cycle.algorithms)}")


def refuse_activation(row: SigningKeyRow, outcome: o.KeyChange) -> NoReturn:
    """Raise CommandError for a key that may not begin to sign."""
    match outcome:
        case o.TooSoon(earliest=earliest):
            raise CommandError(
                f"{row.kid} must not sign before {moment(earliest)}: until then not everybody can "
                "know it; --force with a --reason does it all the same"
            )
        case o.WrongState(state="active"):
            raise CommandError(f"{row.kid} signs already")
        case o.WrongState(state=state):
            raise CommandError(f"{row.kid} is {state}: only a next key can begin to sign")
        case _:
            raise CommandError(f"there is no key {row.kid}")


def refuse_retirement(row: SigningKeyRow, outcome: o.KeyChange) -> NoReturn:
    """Raise CommandError for a key that may not retire."""
    match outcome:
        case o.TooSoon(earliest=earliest):
            raise CommandError(
                f"{row.kid} must stay until {moment(earliest)}: until then its tokens are good; "
                "--force with a --reason does it all the same"
            )
        case o.WrongState(state="active"):
            raise CommandError(
                f"{row.kid} signs: `idp keys rotate {row.alg}` lets the next key sign in its place"
            )
        case o.WrongState(state="next"):
            raise CommandError(
                f"{row.alg} is withdrawn: retire its active key, and {row.kid} goes with it"
            )
        case o.WrongState(state=state):
            raise CommandError(f"{row.kid} is {state} already")
        case _:
            raise CommandError(f"there is no key {row.kid}")


def _known(row: SigningKeyRow) -> str:
    if row.state in ("retired", "revoked"):
        return f"{row.kid} was a key for {row.alg} and is {row.state}: it can never come back"
    return f"{row.kid} is the {row.state} key for {row.alg} already, and can be nothing else"


def _one_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
