"""The store contract's part about clients one by one, and about what proves them."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import By, ClientRow, ClientsPage

ClientChange = Literal["updated", "disabled", "enabled", "secret_rotated", "token_replaced"]
"""What the audit trail tells: the event is `client_` and this."""


class ClientStore(Procedures):
    """Clients, and the assertions by which they prove themselves."""

    async def clients_page(self, *, after: str = "", limit: int) -> ClientsPage:
        """The next `limit` clients after an identifier, in the order of their identifiers."""
        return await self._call("clients_page", ClientsPage, after=after, limit=limit)

    async def client_create(
        self, client: ClientRow, *, revocation_id: str, by: By, now: int
    ) -> o.ClientCreate:
        """Make a client. Unknown: there is no such channel.

        If one of this identifier was deleted, whatever it may still have been given has ended.
        """
        return await self._call(
            "client_create",
            o.ClientCreate,
            revocation_id=revocation_id,
            now=now,
            **msgspec.structs.asdict(client),
            **msgspec.structs.asdict(by),
        )

    async def client_update(
        self,
        client_id: str,
        *,
        old_document: str,
        document: str,
        change: ClientChange,
        detail: Mapping[str, Any] | None = None,
        revocation_id: str | None = None,
        by: By,
        now: int,
    ) -> o.ClientUpdate:
        """Put a document in the place of the one that the caller has looked at.

        With `revocation_id` all that the client was given ends, too. `detail` is for the audit
        trail.
        """
        return await self._call(
            "client_update",
            o.ClientUpdate,
            client_id=client_id,
            old_document=old_document,
            document=document,
            change=change,
            detail=detail,
            revocation_id=revocation_id,
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def client_delete(
        self, client_id: str, *, revocation_id: str, by: By, now: int
    ) -> o.ClientDelete:
        """Remove a client; all that it was given ends."""
        return await self._call(
            "client_delete",
            o.ClientDelete,
            client_id=client_id,
            revocation_id=revocation_id,
            now=now,
            **msgspec.structs.asdict(by),
        )

    async def assertion_use(
        self, *, client_id: str, jti_hash: bytes, expires_at: int, attempt: str, now: int
    ) -> o.AssertionUse:
        """Use a client assertion: of many requests with one, one is accepted (RFC 7523 3).

        It is remembered until `expires_at`.
        """
        return await self._call(
            "assertion_use",
            o.AssertionUse,
            client_id=client_id,
            jti_hash=jti_hash,
            expires_at=expires_at,
            attempt=attempt,
            now=now,
        )
