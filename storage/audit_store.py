"""The store contract's part about the audit trail."""

from typing import Any

import msgspec

from storage import outcomes as o
from storage.procedures import Procedures
from storage.records import AuditEvent, AuditPosition, By


class AuditStore(Procedures):
    """The audit trail; its rows are written by the procedures of what they tell about."""

    async def audit_read(
        self, *, after: int = 0, limit: int = 100, **match: str
    ) -> tuple[AuditEvent, ...]:
        """Of the `limit` rows after a sequence number those with these fields, oldest first."""
        return await self._call(
            "audit_read", tuple[AuditEvent, ...], after=after, limit=limit, match=match
        )

    async def audit_ends(self) -> o.AuditEnds:
        """Where the chain that is in the store begins and ends."""
        return await self._call("audit_ends", o.AuditEnds)

    async def audit_remove(
        self, through: AuditPosition, *, limit: int, by: By, now: int
    ) -> o.AuditRemove:
        """Remove at most `limit` of the oldest rows up to one that is known by its hash.

        The caller has them all elsewhere. Unknown: there is no such row, and nothing was removed.
        """
        arguments: dict[str, Any] = msgspec.structs.asdict(by)
        return await self._call(
            "audit_remove",
            o.AuditRemove,
            seq=through.seq,
            hash=through.hash,
            limit=limit,
            now=now,
            **arguments,
        )
