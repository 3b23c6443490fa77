"""What one does with the audit trail: read it, verify it, and archive its oldest rows."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

import msgspec

from storage import outcomes as o
from storage.audit_chain import Chain, ChainError
from storage.audit_file import ArchiveError, ArchiveFile, Progress
from storage.audit_store import AuditStore
from storage.records import AuditEvent, AuditPosition, By

PAGE: Final = 500
"""Rows that one call of the store looks at, or removes."""

# Rows are in the order of their writing; the clocks of the nodes that gave them their times differ.
_CLOCKS_DIFFER_BY = 300


class Wanted(msgspec.Struct, frozen=True):
    """Which events: those with these fields, at these times (Unix seconds, the ends included)."""

    match: Mapping[str, str] = {}
    since: int | None = None
    until: int | None = None

    def at(self, event: AuditEvent) -> bool:
        """Whether the event's time is wanted."""
        return (self.since is None or event.at >= self.since) and (
            self.until is None or event.at <= self.until
        )


class Archived(msgspec.Struct, frozen=True):
    """How many rows left the store, and the last one of the file."""

    rows: int
    head: AuditPosition


async def onward(store: AuditStore, wanted: Wanted, after: int = 0) -> AsyncIterator[AuditEvent]:
    """The wanted events after a sequence number, oldest first."""
    first, last = await _span(store, wanted, after)
    while first < last:
        for event in await _window(store, wanted, first, min(first + PAGE, last)):
            yield event
        first += PAGE


async def newest(store: AuditStore, wanted: Wanted, limit: int) -> list[AuditEvent]:
    """The last `limit` of the wanted events, oldest first."""
    first, last = await _span(store, wanted, 0)
    found: list[AuditEvent] = []
    while first < last and len(found) < limit:
        found = await _window(store, wanted, max(last - PAGE, first), last) + found
        last -= PAGE
    return found[-limit:]


async def verify(
    store: AuditStore,
    expected: Iterable[AuditPosition] = (),
    progress: Progress = lambda _: None,
) -> Chain:
    """Follow the chain through all rows in the store.

    Rows that are expected and not there are left to the caller (`Chain.end`). Raises ChainError.
    """
    chain = Chain((await store.audit_ends()).anchor, expected)
    while True:
        page = await store.audit_read(after=chain.head.seq, limit=PAGE)
        if not page or page[0].seq != chain.head.seq + 1:
            anchor = (await store.audit_ends()).anchor
            if anchor.seq > chain.head.seq:
                chain.skip(anchor)
                continue
        for event in page:
            chain.follow(event)
        progress(chain.rows)
        if len(page) < PAGE:
            chain.account_for_beginning()
            return chain


async def archive(
    store: AuditStore,
    file: ArchiveFile,
    *,
    before: int,
    by: By,
    now: int,
    progress: Progress = lambda _: None,
) -> Archived:
    """Move the rows that are older than `before` to the end of a file.

    A row leaves the store when it is on the disk and the file, read back, fits the chain. What
    was interrupted anywhere is finished by the next call. Raises ArchiveError and ChainError.
    """
    anchor = (await store.audit_ends()).anchor
    chain = Chain(file.begin(anchor))
    if chain.head.seq < anchor.seq:
        raise ArchiveError(
            f"{file.path} ends with row {chain.head.seq}, but the store begins with row "
            f"{anchor.seq + 1}: name the file of the last archive, or a new one"
        )
    while True:
        page = await store.audit_read(after=chain.head.seq, limit=PAGE)
        young = next((place for place, event in enumerate(page) if event.at >= before), len(page))
        for event in page[:young]:
            chain.follow(event)
        file.append(page[:young])
        progress(chain.rows)
        if young < PAGE:
            break
    if file.verify() != chain.head:
        raise ArchiveError(f"{file.path} does not hold what was written to it")
    remaining = None
    while remaining != 0:
        answer = await store.audit_remove(chain.head, limit=PAGE, by=by, now=now)
        if isinstance(answer, o.Unknown):
            raise ChainError(f"row {chain.head.seq} in the store is another one than in the file")
        remaining = answer.remaining
        progress(chain.rows)
    return Archived(chain.head.seq - anchor.seq, chain.head)


async def _span(store: AuditStore, wanted: Wanted, after: int) -> tuple[int, int]:
    """The rows that may be wanted: those after the first number, up to the second."""
    ends = await store.audit_ends()
    first, last = max(after, ends.anchor.seq), ends.head.seq
    if wanted.since is not None:
        first = await _last_before(store, wanted.since - _CLOCKS_DIFFER_BY, first, last)
    if wanted.until is not None:
        last = await _last_before(store, wanted.until + _CLOCKS_DIFFER_BY + 1, first, last)
    return first, last


async def _last_before(store: AuditStore, at: int, first: int, last: int) -> int:
    while first < last:
        middle = (first + last) // 2
        (row, *_) = await store.audit_read(after=middle, limit=1)
        if row.at < at:
            first = middle + 1
        else:
            last = middle
    return first


async def _window(store: AuditStore, wanted: Wanted, first: int, last: int) -> list[AuditEvent]:
    page = await store.audit_read(after=first, limit=last - first, **wanted.match)
    # Where rows were archived meanwhile, the page reaches further.
    return [event for event in page if event.seq <= last and wanted.at(event)]
