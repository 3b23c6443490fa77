"""What the commands about customers share: whom they mean, and what lives of their sign-ins."""

from collections.abc import AsyncIterator

import typer

from flows.phones import normalise
from idp.commands.operating import now
from idp.commands.terminal import CommandError
from storage.outcomes import Account
from storage.records import LiveSession, Place, Selection
from storage.store import Store

_AT_ONCE = 50  # sessions that one call looks at, so that no request waits for it
_BETWEEN_REPORTS = 100_000


async def account_by_phone(store: Store, phone: str) -> Account:
    """The customer of a phone, however it is written. Raises CommandError."""
    number = normalise(phone)
    if number is None:
        raise CommandError(f"{phone} is no phone number")
    found = await store.customer_find(phone=number)
    if not isinstance(found, Account):
        raise CommandError(f"no customer has the phone {number}")
    return found


async def account_by_sub(store: Store, sub: str) -> Account:
    """The customer of a `sub`. Raises CommandError."""
    found = await store.customer_find(sub=sub)
    if not isinstance(found, Account):
        raise CommandError(f"no customer has the sub {sub}")
    return found


async def account_by_name(store: Store, name: str) -> Account:
    """The customer of a phone or of a `sub`, whichever `name` is. Raises CommandError."""
    if normalise(name) is None:
        return await account_by_sub(store, name)
    return await account_by_phone(store, name)


async def live_sessions(
    store: Store, selection: Selection, after: Place | None = None
) -> AsyncIterator[LiveSession]:
    """What lives of the selected sessions, in the order of `sub` and `sid`.

    Says on the terminal how far it is, where the search is a long one.
    """
    looked_at = 0
    while True:
        page = await store.sessions_list(selection, after=after, limit=_AT_ONCE, now=now())
        for session in page.sessions:
            yield session
        if page.after is None:
            return
        after = page.after
        looked_at += _AT_ONCE
        if looked_at % _BETWEEN_REPORTS == 0:
            typer.echo(f"idp: looked at {looked_at} sessions", err=True)
