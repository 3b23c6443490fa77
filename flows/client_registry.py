"""Clients one by one, as operators make and change them; a channels file brings many at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from flows.client_metadata import ClientMetadata
from flows.client_secrets import carried_over, live, new_secret
from flows.clients import ClientDocument
from keys.client_secrets import ClientSecretSealer
from keys.hashing import random_id
from storage import outcomes as o
from storage.client_store import ClientChange
from storage.records import By, ClientRow
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Registered:
    """A client as it is kept: the row that was read, and what it says."""

    row: ClientRow
    document: ClientDocument

    @classmethod
    def of(cls, row: ClientRow) -> "Registered":
        """Read a row."""
        return cls(row, msgspec.json.decode(row.document, type=ClientDocument))

    def changed_by(self, metadata: ClientMetadata) -> list[str]:
        """The names of the members that are other ones in `metadata`."""
        return [
            name
            for name in metadata.__struct_fields__
            if getattr(metadata, name) != getattr(self.document.metadata, name)
        ]


class ClientRegistry:
    """Changes clients on somebody's behalf; what comes of it is for the caller to tell.

    A change is made to the client that the caller has read: `Stale` says that it has changed since.
    A secret is to be handed out only with `Created` or `Changed`.
    """

    def __init__(self, store: Store, *, by: By, now: int) -> None:
        self._store = store
        self._by = by
        self._now = now

    async def create(
        self,
        client_id: str,
        channel_id: str,
        metadata: ClientMetadata,
        *,
        sealer: ClientSecretSealer,
    ) -> tuple[o.ClientCreate, str | None]:
        """Make a client of a channel, and its secret if it needs one."""
        secret, secrets = new_secret(sealer, client_id, metadata)
        created = await self._store.client_create(
            ClientRow(
                client_id, channel_id, ClientDocument(metadata, secrets).as_json(), "operator"
            ),
            revocation_id=random_id(),
            by=self._by,
            now=self._now,
        )
        return created, secret

    async def update(
        self, known: Registered, metadata: ClientMetadata, *, sealer: ClientSecretSealer
    ) -> tuple[o.ClientUpdate, str | None]:
        """Register a client with other metadata; with a new secret, if it has none that fits.

        Raises SealError.
        """
        client_id, before = known.row.client_id, known.document
        secret = None
        secrets = carried_over(sealer, client_id, metadata, before.secrets)
        if not secrets:
            secret, secrets = new_secret(sealer, client_id, metadata)
        document = msgspec.structs.replace(before, metadata=metadata, secrets=secrets)
        detail = {"changed": known.changed_by(metadata)}
        return await self._put(known, document, "updated", detail=detail), secret

    async def rotate_secret(
        self, known: Registered, *, keep_old: int, sealer: ClientSecretSealer
    ) -> tuple[o.ClientUpdate, str | None]:
        """Give a client a new secret; the newest old one is good for `keep_old` seconds more."""
        metadata = known.document.metadata
        secret, secrets = new_secret(sealer, known.row.client_id, metadata)
        until = self._now + keep_old
        kept = [
            msgspec.structs.replace(old, expires_at=min(until, old.expires_at or until))
            for old in live(known.document.secrets, self._now)
            if keep_old
        ]
        document = msgspec.structs.replace(known.document, secrets=(*secrets, *kept[:1]))
        detail = {"old_until": until} if kept else None
        return await self._put(known, document, "secret_rotated", detail=detail), secret

    async def disable(self, known: Registered) -> o.ClientUpdate:
        """Let a client do nothing any more, and end all that it was given."""
        document = msgspec.structs.replace(known.document, disabled=True)
        return await self._put(known, document, "disabled", ends_grants=True)

    async def enable(self, known: Registered) -> o.ClientUpdate:
        """Let a client go on, with nothing of what it was given before."""
        document = msgspec.structs.replace(known.document, disabled=False)
        # A worker that had not heard of the end may have given it something a second after it.
        return await self._put(known, document, "enabled", ends_grants=True)

    async def delete(self, client_id: str) -> o.ClientDelete:
        """Remove a client, and end all that it was given."""
        return await self._store.client_delete(
            client_id, revocation_id=random_id(), by=self._by, now=self._now
        )

    async def _put(
        self,
        known: Registered,
        document: ClientDocument,
        change: ClientChange,
        *,
        detail: Mapping[str, Any] | None = None,
        ends_grants: bool = False,
    ) -> o.ClientUpdate:
        return await self._store.client_update(
            known.row.client_id,
            old_document=known.row.document,
            document=document.as_json(),
            change=change,
            detail=detail,
            revocation_id=random_id() if ends_grants else None,
            by=self._by,
            now=self._now,
        )
