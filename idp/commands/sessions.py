"""`idp sessions`: what lives of sign-ins, and its end."""

from typing import Annotated, Any, Literal

import msgspec
import typer

from flows.phones import mask
from idp.commands.accounts import account_by_phone, account_by_sub, live_sessions
from idp.commands.operating import by, now, settings_of, with_store
from idp.commands.terminal import (
    CommandError,
    Config,
    Directory,
    Json,
    NeededReason,
    Yes,
    confirm,
    examples,
    group,
    moment,
    show,
    table,
)
from idp.commands.times import TIME, time_of
from keys.hashing import random_id
from storage import outcomes as o
from storage.records import LiveSession, Place, Selection
from storage.store import Store

app = group(
    "Sessions, and the grants that hang on them or outlive them.",
    "idp sessions list --phone +79161234567 --config production.toml",
    'idp sessions revoke --phone +79161234567 --reason "a stolen phone" --config production.toml',
    'idp sessions revoke --client partner-shop --reason "a leak" --config production.toml',
)

Phone = Annotated[str | None, typer.Option(help="Those of this phone's customer.")]
Sub = Annotated[str | None, typer.Option(help="Those of this customer (`sub`).")]
Client = Annotated[str | None, typer.Option(help="Those of this client (`client_id`).")]
Since = Annotated[str | None, typer.Option(metavar=TIME, help="That began from then on.")]
Until = Annotated[str | None, typer.Option(metavar=TIME, help="That began before then.")]


@app.command(
    "list",
    epilog=examples(
        "idp sessions list --phone +79161234567 --config production.toml",
        "idp sessions list --client partner-shop --since 2h --config production.toml",
        "idp sessions list --since 2026-11-22T10:00Z --until 2026-11-22T11:00Z --directory var",
        "idp sessions list --limit 1000 --json --directory var",
    ),
)
def list_sessions(
    *,
    phone: Phone = None,
    sub: Sub = None,
    client: Client = None,
    since: Since = None,
    until: Until = None,
    after: Annotated[str | None, typer.Option(help="Go on where a list ended.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show what lives of sign-ins: all, or what all of the options apply to.

    By customer it is quick; otherwise it looks at every session, in small parts that no customer
    feels. Phones are masked.

    A TIME is as in ISO 8601, in UTC unless it says otherwise, or an age such as 90m, 2h or 7d.
    """
    _refuse_several(phone=phone, sub=sub)
    begin, end = _window(since, until)
    place = _place(after)

    async def read(store: Store) -> list[LiveSession]:
        account = await _account(store, phone, sub)
        selection = Selection(
            sub=account.sub if account is not None else None,
            client_id=client,
            since=begin,
            before=end,
        )
        found = []
        async for session in live_sessions(store, selection, place):
            found.append(session)
            if len(found) > limit:
                break
        return found

    found = with_store(settings_of(config, directory), read)
    shown, more = found[:limit], len(found) > limit
    position = f"{shown[-1].sub}/{shown[-1].sid}" if more else None
    text = _as_table(shown) + (f"\nmore: --after {position}" if more else "")
    listed = [_as_json(session) for session in shown]
    show({"sessions": listed, "after": position}, text, as_json=as_json)


@app.command(
    epilog=examples(
        'idp sessions revoke --phone +79161234567 --reason "a stolen phone" --directory var',
        'idp sessions revoke --client partner-shop --reason "a leak" --yes --directory var',
        'idp sessions revoke --everybody --since 2h --reason "codes were read" --directory var',
    )
)
def revoke(
    *,
    phone: Phone = None,
    sub: Sub = None,
    client: Client = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="Those of everybody.")] = False,
    since: Since = None,
    until: Until = None,
    reason: NeededReason,
    yes: Yes = False,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """End what a customer, a client or everybody has until now, offline access included.

    One step, in force at once and for all, however many there are; what begins afterwards is
    not touched. It cannot be undone. A client's customers lose the tokens of that client, and
    keep their sessions. An app that checks access tokens by itself accepts them until they expire.

    A TIME is as in ISO 8601, in UTC unless it says otherwise, or an age such as 90m, 2h or 7d.
    """
    _refuse_several(phone=phone, sub=sub, client=client, everybody=everybody or None)
    if (phone, sub, client, everybody) == (None, None, None, False):
        raise typer.BadParameter("give one of --phone, --sub, --client and --everybody")
    begin, end = _window(since, until)
    settings = settings_of(config, directory)
    target: Literal["customer", "client", "everybody"] = "everybody"
    target_id = ""
    account = with_store(settings, lambda store: _account(store, phone, sub))
    if account is not None:
        target, target_id = "customer", account.sub
    elif client is not None:
        target, target_id = "client", client
    what = f"{target} {target_id}".rstrip()
    confirm(
        f"This ends all sign-ins of {what}{_spelled(begin, end)}, and cannot be undone.",
        target_id or target,
        yes=yes,
    )

    async def work(store: Store) -> o.SessionsRevoke:
        return await store.sessions_revoke(
            target,
            target_id,
            revocation_id=random_id(),
            since=begin,
            before=end,
            by=by(reason),
            now=now(),
        )

    if isinstance(with_store(settings, work), o.Unknown):
        raise CommandError(f"there is no {what}")
    revoked = {"target": target, "id": target_id or None, "since": begin or None, "until": end}
    show(revoked, f"revoked: the sign-ins of {what}{_spelled(begin, end)}", as_json=as_json)


async def _account(store: Store, phone: str | None, sub: str | None) -> o.Account | None:
    if phone is not None:
        return await account_by_phone(store, phone)
    return await account_by_sub(store, sub) if sub is not None else None


def _refuse_several(**options: object) -> None:
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"{' and '.join(given)} cannot be given together")


def _window(since: str | None, until: str | None) -> tuple[int, int | None]:
    at = now()
    begin = 0 if since is None else time_of("--since", since, at)
    end = None if until is None else time_of("--until", until, at)
    if begin > at or (end is not None and end > at):
        raise typer.BadParameter("--since and --until lie in the past")
    if end is not None and begin >= end:
        raise typer.BadParameter("--since comes before --until")
    return begin, end


def _spelled(begin: int, end: int | None) -> str:
    since = f" that began since {moment(begin)}" if begin else ""
    return since + (f"{' and' if since else ' that began'} before {moment(end)}" if end else "")


def _place(after: str | None) -> Place | None:
    if after is None:
        return None
    sub, slash, sid = after.rpartition("/")
    if not slash:
        raise typer.BadParameter(f"--after {after}: must be what a list ended with")
    return Place(sub, sid)


def _as_json(session: LiveSession) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.to_builtins(session)
    return described | {"phone": mask(session.phone)}


def _as_table(sessions: list[LiveSession]) -> str:
    return table(
        ("SID", "SUB", "PHONE", "BEGAN", "LAST SEEN", "EXPIRES", "CLIENTS"),
        [
            (
                session.sid,
                session.sub,
                mask(session.phone),
                moment(session.created_at),
                moment(session.seen_at),
                moment(session.expires_at),
                _clients(session),
            )
            for session in sessions
        ],
    )


def _clients(session: LiveSession) -> str:
    held = {
        grant.client_id + (f" (offline until {moment(grant.expires_at)})" if grant.offline else "")
        for grant in session.grants
    }
    return ", ".join(sorted(held)) or "-"
