"""`idp otp`: what messages are spent on, what is held back, and how to stop or let go."""

import ipaddress
import re
from typing import Annotated, Any, Final

import msgspec
import typer

from flows.phones import is_prefix
from idp.commands.operating import by, now, settings_of, with_store
from idp.commands.terminal import (
    CommandError,
    Config,
    Directory,
    Json,
    NeededReason,
    examples,
    group,
    moment,
    show,
    table,
)
from idp.commands.times import duration_of
from storage import outcomes as o
from storage.records import MessageBudget, SendingCell, SendingHeld
from storage.store import Store

_STATUS: Final = "idp otp status --config production.toml"
_BLOCK: Final = "idp otp block --prefix +7916 --for 2h --reason 'pumping' --config production.toml"
_UNBLOCK: Final = (
    "idp otp unblock --network 203.0.113.0/24 --reason 'our office' --config production.toml"
)
_LEVELS: Final = ("prefix", "network", "client")
_PAGE: Final = 500
_MOST_HELD: Final = 1_000
_KEY: Final = re.compile("[a-z]+:.+")

app = group("One-time codes: limits, budgets and the conversion watch.", _STATUS, _BLOCK, _UNBLOCK)

_Prefix = Annotated[
    str, typer.Option(help="Numbers that begin so: the country and three digits, as in +7916.")
]
_Network = Annotated[str, typer.Option(help="A network (/24 or /48).")]
_Client = Annotated[str, typer.Option(help="A client.")]
_Key = Annotated[
    str, typer.Option(help="Anything that `status` shows as held back: strangers:unproven.")
]


@app.command(epilog=examples(_STATUS, "idp otp status --most 50 --json --directory var"))
def status(
    *,
    most: Annotated[int, typer.Option(min=1, max=10_000, help="Rows of each kind.")] = 10,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Show what is held back or blocked, today's budgets, and conversion.

    Conversion is of strangers' messages in the last hours, by prefix and network, and of all by
    client; those with the most unanswered messages come first.
    """
    at = now()

    async def work(store: Store) -> tuple[SendingHeld, dict[str, list[SendingCell]]]:
        held = await store.sending_held(limit=_MOST_HELD, now=at)
        return held, {level: await _worst(store, level, most, at) for level in _LEVELS}

    held, levels = with_store(settings_of(config, directory), work)
    answer = {
        "held": [_plain(cell) for cell in held.cells],
        "budgets": [msgspec.to_builtins(budget) for budget in held.budgets],
        "conversion": {level: [_plain(cell) for cell in cells] for level, cells in levels.items()},
    }
    parts = [
        _titled("held back", _held_table(held.cells[:most], at), len(held.cells)),
        _titled("budgets of today (UTC)", _budget_table(held.budgets), len(held.budgets)),
        *(_titled(level, _cell_table(cells), len(cells)) for level, cells in levels.items()),
    ]
    show(answer, "\n\n".join(parts), as_json=as_json)


@app.command(epilog=examples("idp otp limits --config production.toml"))
def limits(*, config: Config = None, directory: Directory = None, as_json: Json = False) -> None:
    """Show the limits in force, as the settings say them."""
    settings = settings_of(config, directory)
    otp: dict[str, Any] = msgspec.to_builtins(settings.otp)
    sending: dict[str, Any] = msgspec.to_builtins(settings.sending)
    rows = [
        (name, f"{value['burst']} at once, refilled in {value['period']} s")
        if isinstance(value, dict)
        else (name, str(value) if not isinstance(value, list) else ", ".join(value) or "any")
        for name, value in (otp | sending).items()
    ]
    show({"otp": otp, "sending": sending}, table(("LIMIT", "VALUE"), rows), as_json=as_json)


@app.command(epilog=examples(_BLOCK, "idp otp block --client old-app --for 1d --reason leak ..."))
def block(
    *,
    prefix: _Prefix = "",
    network: _Network = "",
    client: _Client = "",
    duration: Annotated[str, typer.Option("--for", metavar="AGE", help="For how long.")] = "1h",
    reason: NeededReason,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Send nothing for a prefix, a network or a client: to customers of long standing neither."""
    key = _key(prefix, network, client)
    at = now()
    until = at + duration_of("--for", duration)

    async def work(store: Store) -> o.SendingBlock:
        return await store.sending_block(key, blocked_until=until, by=by(reason), now=at)

    blocked = with_store(settings_of(config, directory), work)
    if isinstance(blocked, o.Unknown):
        raise CommandError(_no_client(client))
    show(
        {"key": key, "blocked_until": blocked.blocked_until},
        f"nothing is sent for {key} until {moment(blocked.blocked_until)}",
        as_json=as_json,
    )


@app.command(epilog=examples(_UNBLOCK))
def unblock(
    *,
    prefix: _Prefix = "",
    network: _Network = "",
    client: _Client = "",
    key: _Key = "",
    reason: NeededReason,
    config: Config = None,
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Let go what an operator blocked or the watch holds back; the watch begins anew."""
    if not key:
        key = _key(prefix, network, client)
    elif prefix or network or client or not _KEY.fullmatch(key):
        raise typer.BadParameter("--key stands alone, and looks like strangers:unproven")

    async def work(store: Store) -> o.SendingUnblock:
        return await store.sending_unblock(key, by=by(reason), now=now())

    unblocked = with_store(settings_of(config, directory), work)
    if isinstance(unblocked, o.Unknown):
        raise CommandError(_no_client(client) if client else f"nothing is held under {key}")
    if isinstance(unblocked, o.NotBlocked):
        raise CommandError(f"{key} is neither blocked nor held back")
    show({"key": key}, f"{key} is free", as_json=as_json)


def _no_client(client_id: str) -> str:
    return f"there is no client {client_id}: see `idp clients list`"


def _key(prefix: str, network: str, client: str) -> str:
    if sum(map(bool, (prefix, network, client))) != 1:
        raise typer.BadParameter("give one of --prefix, --network and --client")
    if client:
        return f"client:{client}"
    if prefix:
        # Another one would be blocked, and hold nothing.
        if not is_prefix(prefix):
            raise typer.BadParameter(
                f"--prefix {prefix}: must be a country and three digits, as in +7916"
            )
        return f"prefix:{prefix}"
    try:
        found = ipaddress.ip_network(network)
    except ValueError:
        raise typer.BadParameter(f"--network {network}: must be a network") from None
    if found.prefixlen != (24 if found.version == 4 else 48):  # noqa: PLR2004 - IPv4
        raise typer.BadParameter(f"--network {network}: must be a /24, or a /48 of IPv6")
    return f"network:{found}"


async def _worst(store: Store, level: str, most: int, at: int) -> list[SendingCell]:
    cells: list[SendingCell] = []
    after = None
    while True:
        page = await store.sending_cells(level, after=after, limit=_PAGE, now=at)
        cells = sorted([*cells, *page.cells], key=lambda it: it.signed_in - it.sent)[:most]
        if page.after is None:
            return cells
        after = page.after


def _plain(cell: SendingCell) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(cell)
    return plain


def _titled(title: str, body: str, count: int) -> str:
    return f"{title}\n{body}" if count else f"{title}\nnothing"


def _held_table(cells: tuple[SendingCell, ...], at: int) -> str:
    return table(
        ("WHAT", "UNTIL", "BY", "REFUSED"),
        [
            (
                cell.key,
                moment(max(cell.held_until, cell.blocked_until)),
                "operator" if cell.blocked_until > at else "watch",
                str(cell.refused),
            )
            for cell in cells
        ],
    )


def _budget_table(budgets: tuple[MessageBudget, ...]) -> str:
    return table(
        ("WHOSE", "SPENT", "OF", "SHARE"),
        [(it.key, str(it.spent), str(it.budget), f"{it.spent / it.budget:.0%}") for it in budgets],
    )


def _cell_table(cells: list[SendingCell]) -> str:
    return table(
        ("WHAT", "SENT", "SIGNED IN", "CONVERSION", "CUSTOMERS"),
        [
            (
                cell.key,
                f"{cell.sent:.0f}",
                f"{cell.signed_in:.0f}",
                f"{cell.signed_in / cell.sent:.0%}" if cell.sent >= 1 else "-",
                f"{cell.vouched:.0f}",
            )
            for cell in cells
        ],
    )
