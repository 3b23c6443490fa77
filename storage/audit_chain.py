"""The audit trail's chain of hashes, computed from the rows alone and without the store's Lua.

A row's hash is SHA-256 of the following, each as a netstring (its length in bytes in decimal
digits, a colon, the bytes, a comma), or as a hyphen where it is absent: the hash of the row before
it (32 bytes; zeros before the first row), `seq` and `at` in decimal digits, `event`, `sub`,
`client_id`, `by`, `reason`, `detail`.

Who may write to the store's spaces can change a row and compute the chain anew. That is found out
by a position (`SEQ:HASH`) of the chain that was noted elsewhere before.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable

from storage.records import AuditEvent, AuditPosition

BEGINNING = AuditPosition(0, "0" * 64)
"""The row before the first one."""


class ChainError(Exception):
    """A row does not fit into the chain; the message names the first such row, and why."""


def row_hash(previous: str, event: AuditEvent) -> str:
    """The hash that a row must have when it follows the row with the hash `previous`."""
    fields = (
        str(event.seq),
        str(event.at),
        event.event,
        event.sub,
        event.client_id,
        event.by,
        event.reason,
        event.detail,
    )
    encoded = _netstring(bytes.fromhex(previous)) + b"".join(
        b"-" if field is None else _netstring(field.encode()) for field in fields
    )
    return hashlib.sha256(encoded).hexdigest()


class Chain:
    """Follows rows from `anchor`, the row before them, and knows what some of them must be.

    `head` is the last row that it has followed. Every method raises ChainError.
    """

    def __init__(self, anchor: AuditPosition, expected: Iterable[AuditPosition] = ()) -> None:
        self.anchor = anchor
        self.head = anchor
        self._archived: list[AuditPosition] = []
        self._expected: dict[int, set[str]] = defaultdict(set)
        for position in expected:
            self._expected[position.seq].add(position.hash)
        self._reach(anchor)

    @property
    def rows(self) -> int:
        """How many rows there are from the anchor on."""
        return self.head.seq - self.anchor.seq

    @property
    def unmet(self) -> list[AuditPosition]:
        """What is expected and has not come yet."""
        return [AuditPosition(seq, one) for seq, all_ in self._expected.items() for one in all_]

    def follow(self, event: AuditEvent) -> None:
        """Take the next row."""
        if event.seq > self.head.seq + 1:
            missing = f"{self.head.seq + 1} to {event.seq - 1}"
            raise ChainError(f"rows {missing} are missing, before row {event.seq}")
        if event.seq <= self.head.seq:
            raise ChainError(
                f"row {event.seq} stands after row {self.head.seq}: it was moved or inserted"
            )
        if row_hash(self.head.hash, event) != event.hash:
            raise ChainError(
                f"row {event.seq} does not fit: it was changed, inserted or moved, "
                f"or row {self.head.seq} was"
            )
        if event.event == "audit_archived":
            archived = json.loads(event.detail or "{}")
            self._archived.append(AuditPosition(archived["seq"], archived["hash"]))
        self._reach(AuditPosition(event.seq, event.hash))

    def skip(self, anchor: AuditPosition) -> None:
        """Go on behind `anchor`: the rows up to it have left while they were followed."""
        self._reach(anchor)
        self.anchor = anchor

    def account_for_beginning(self) -> None:
        """The rows before the anchor must have been archived: one of the rows tells of that."""
        begin = self.anchor
        if begin.seq > 0 and not any(it.seq > begin.seq or it == begin for it in self._archived):
            raise ChainError(
                f"rows 1 to {begin.seq} are missing and no archive accounts for them: "
                "the beginning was cut off"
            )

    def end(self) -> None:
        """There is no further row: all that was expected must have been there."""
        for seq in self._expected:
            if seq > self.head.seq:
                raise ChainError(
                    f"row {seq} is missing: the trail ends with row {self.head.seq}, "
                    "its end was cut off"
                )
            raise ChainError(
                f"row {seq} is not here to be compared, the trail begins with row "
                f"{self.anchor.seq + 1}: name the files that it was archived in"
            )

    def _reach(self, position: AuditPosition) -> None:
        if self._expected.pop(position.seq, {position.hash}) != {position.hash}:
            raise ChainError(
                f"row {position.seq} has another hash than expected: "
                "it, or a row before it, was replaced and the chain computed anew"
            )
        self.head = position


def _netstring(value: bytes) -> bytes:
    return b"%d:%b," % (len(value), value)
