"""`idp customers`: one customer, looked at, blocked and let in again."""

from typing import Annotated, Any

import msgspec
import typer

from flows.phones import mask
from idp.commands.accounts import account_by_name, live_sessions
from idp.commands.operating import by, now, settings_of, with_store
from idp.commands.terminal import (
    TAKES_ID,
    Config,
    Directory,
    Json,
    NeededReason,
    examples,
    group,
    moment,
    show,
)
from keys.hashing import random_id
from storage import outcomes as o
from storage.records import Block, LiveSession, Selection
from storage.store import Store

app = group(
    "One customer: looked at, blocked and let in again.",
    "idp customers show +79161234567 --config production.toml",
    'idp customers block +79161234567 --reason "a stolen phone" --config production.toml',
    'idp customers unblock +79161234567 --reason "it was found" --config production.toml',
)

Name = Annotated[str, typer.Argument(metavar="PHONE|SUB", help="The customer's phone or `sub`.")]


@app.command(
    "show",
    context_settings=TAKES_ID,
    epilog=examples(
        "idp customers show +79161234567 --config production.toml",
        "idp customers show 3rGdPFGBTNSMAYlIqCcn7g --directory var --json",
    ),
)
def show_customer(
    name: Name, *, config: Config = None, directory: Directory = None, as_json: Json = False
) -> None:
    """Show a customer's state, and how much lives of their sign-ins.

    The phone is masked, and the name is not shown.
    """

    async def read(store: Store) -> tuple[o.Account, list[LiveSession]]:
        account = await account_by_name(store, name)
        selection = Selection(sub=account.sub)
        return account, [session async for session in live_sessions(store, selection)]

    account, sessions = with_store(settings_of(config, directory), read)
    described = _describe(account, sessions)
    show(described, _as_text(account, described), as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples(
        'idp customers block +79161234567 --reason "a stolen phone" --config production.toml',
        'idp customers block 3rGdPFGBTNSMAYlIqCcn7g --reason "fraud, case 4711" --directory var',
    ),
)
def block(
    name: Name,
    *,
    reason: NeededReason,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let nobody sign in as a customer any more.

    What the customer has ends at once, in every app and for ever: sessions, refresh tokens, and
    access tokens at userinfo. An app that checks access tokens by itself accepts them until they
    expire. Who proves the phone is told that access is closed, and nobody else is.
    """

    async def work(store: Store) -> tuple[o.Account, o.CustomerBlock]:
        account = await account_by_name(store, name)
        return account, await store.customer_block(
            account.sub, revocation_id=random_id(), by=by(reason), now=now()
        )

    account, outcome = with_store(settings_of(config, directory), work)
    told = f"blocked: {account.sub}"
    if isinstance(outcome, o.AlreadyBlocked):
        told = f"{account.sub} was {_since(outcome.block)} already"
    _show_change(account, told, changed=isinstance(outcome, o.Blocked), as_json=as_json)


@app.command(
    context_settings=TAKES_ID,
    epilog=examples(
        'idp customers unblock +79161234567 --reason "it was found" --config production.toml',
    ),
)
def unblock(
    name: Name,
    *,
    reason: NeededReason,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let a blocked customer sign in again.

    They sign in anew: nothing that they had before the block comes back.
    """

    async def work(store: Store) -> tuple[o.Account, o.CustomerUnblock]:
        account = await account_by_name(store, name)
        return account, await store.customer_unblock(account.sub, by=by(reason), now=now())

    account, outcome = with_store(settings_of(config, directory), work)
    changed = isinstance(outcome, o.Unblocked)
    told = f"unblocked: {account.sub}" if changed else f"{account.sub} was not blocked"
    _show_change(account, told, changed=changed, as_json=as_json)


def _show_change(account: o.Account, told: str, *, changed: bool, as_json: bool) -> None:
    show({"sub": account.sub, "changed": changed}, told, as_json=as_json)


def _since(block: Block) -> str:
    return f"blocked since {moment(block.at)} by {block.by}: {block.reason}"


def _describe(account: o.Account, sessions: list[LiveSession]) -> dict[str, Any]:
    grants = [grant for session in sessions for grant in session.grants]
    block = account.block
    return {
        "sub": account.sub,
        "phone": mask(account.phone),
        "blocked": block is not None and block.lifted_at is None,
        "block": msgspec.to_builtins(block),
        "registered_at": account.created_at,
        "phone_verified_at": account.phone_verified_at,
        "last_sign_in": account.last_sign_in,
        "terms_accepted_at": account.terms_accepted_at or None,
        "test_number": account.test,
        "sessions": sum(session.expires_at is not None for session in sessions),
        "grants": len(grants),
        "offline_grants": sum(grant.offline for grant in grants),
    }


def _as_text(account: o.Account, described: dict[str, Any]) -> str:
    state = "not blocked"
    if account.block is not None:
        lifted_at = account.block.lifted_at
        state = _since(account.block)
        if lifted_at is not None:
            state = f"not blocked; until {moment(lifted_at)} it was {state}"
    facts = (
        ("sub", account.sub),
        ("phone", described["phone"] + (", a test number" if account.test else "")),
        ("state", state),
        ("registered", moment(account.created_at)),
        ("terms accepted", moment(described["terms_accepted_at"])),
        ("phone proven", moment(account.phone_verified_at)),
        ("last sign-in", moment(account.last_sign_in)),
        ("sessions", str(described["sessions"])),
        ("grants", f"{described['grants']}, of which offline: {described['offline_grants']}"),
    )
    return "\n".join(f"{name:<15} {fact}" for name, fact in facts)
