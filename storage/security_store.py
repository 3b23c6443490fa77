"""The store contract's part for the security team: blocking, and ending what customers have."""

from typing import Literal

import msgspec

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import By, Place, Selection, SessionsPage


class SecurityStore(Procedures):
    """Effective with the answer: there is no copy that would have to hear of it."""

    async def customer_find(
        self, *, phone: str | None = None, sub: str | None = None
    ) -> o.CustomerFind:
        """A customer by phone or `sub`, as the security team sees them."""
        return await self._call("customer_find", o.CustomerFind, phone=phone, sub=sub)

    async def customer_block(
        self, sub: str, *, revocation_id: str, by: By, now: int
    ) -> o.CustomerBlock:
        """Let nobody sign in as a customer any more, and end for ever what they have until now."""
        return await self._call(
            "customer_block",
            o.CustomerBlock,
            sub=sub,
            revocation_id=revocation_id,
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def customer_unblock(self, sub: str, *, by: By, now: int) -> o.CustomerUnblock:
        """Let a customer sign in again, anew."""
        return await self._call(
            "customer_unblock", o.CustomerUnblock, sub=sub, now=now, **msgspec.structs.asdict(by)
        )

    async def sessions_revoke(
        self,
        target: Literal["customer", "client", "everybody"],
        target_id: str = "",
        *,
        revocation_id: str,
        since: int = 0,
        before: int | None = None,
        by: By,
        now: int,
    ) -> o.SessionsRevoke:
        """End every session and grant of a target until now, those with `offline_access` too.

        `since` and `before` narrow it to what began from the one and until the other. A client has
        no sessions but grants: its customers' sessions stay.
        """
        return await self._call(
            "sessions_revoke",
            o.SessionsRevoke,
            target=target,
            target_id=target_id,
            revocation_id=revocation_id,
            since=since,
            before=before,
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def sessions_list(
        self, selection: Selection, *, after: Place | None = None, limit: int, now: int
    ) -> SessionsPage:
        """What lives of the next `limit` sessions after a place, as far as it is selected."""
        return await self._call(
            "sessions_list",
            SessionsPage,
            after=None if after is None else msgspec.structs.asdict(after),
            limit=limit,
            now=now,
            **msgspec.structs.asdict(selection),
        )

    async def access_token_withdraw(
        self, *, grant_id: str, jti: str, by: By, now: int
    ) -> o.TokenWithdraw:
        """Take one access token back, whosever it is."""
        return await self._call(
            "access_token_withdraw",
            o.TokenWithdraw,
            grant_id=grant_id,
            jti=jti,
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def grant_withdraw(self, grant_id: str, *, by: By, now: int) -> o.TokenWithdraw:
        """End one grant, whosever it is, and with it its refresh and access tokens."""
        return await self._call(
            "grant_withdraw",
            o.TokenWithdraw,
            grant_id=grant_id,
            now=now,
            **msgspec.structs.asdict(by),
        )
