"""Archives of the audit trail: files of JSON lines, which continue the chain.

The first line is `{"anchor": {"seq": ..., "hash": ...}}`, the row before the file's first one; then
every line is a row. The bytes of `detail` are those that were hashed, so a file that another
program has written anew, with spaces perhaps, does not fit any more.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from storage.audit_chain import Chain, ChainError
from storage.records import AuditEvent, AuditPosition

Progress = Callable[[int], None]
"""Is told now and then how many rows are done."""

_ROWS_BETWEEN_PROGRESS = 1_000


class ArchiveError(Exception):
    """An archive cannot be read or continued; the message is one sentence for an operator."""


class _Header(msgspec.Struct):
    anchor: AuditPosition


class _Line(AuditEvent, frozen=True, kw_only=True):
    detail: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]  # the text before it is read


_HASH = re.compile(r"[0-9a-f]{64}")
_header = msgspec.json.Decoder(_Header)
_line = msgspec.json.Decoder(_Line)


def line(event: AuditEvent) -> bytes:
    """A row as JSON in one line, without the line's end; absent fields are left out."""
    fields: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(event).items() if value is not None
    }
    if event.detail is not None and _is_json_in_one_line(event.detail):
        fields["detail"] = msgspec.Raw(event.detail.encode())
    return msgspec.json.encode(fields)


def verify_files(
    paths: Sequence[Path],
    expected: Iterable[AuditPosition] = (),
    progress: Progress = lambda _: None,
) -> Chain:
    """Follow the chain through files, each of which continues the one before it.

    Rows that are expected and not there are left to the caller (`Chain.end`). Raises ChainError
    and ArchiveError.
    """
    chain = None
    for path in paths:
        with _open(path, "rb") as file:
            lines = _whole_lines(path, file)
            anchor = _anchor(path, next(lines, b""))
            if chain is None:
                chain = Chain(anchor, expected)
            elif anchor != chain.head:
                raise ChainError(
                    f"{path} continues row {anchor.seq}, which is not the one "
                    f"that the file before it ends with (row {chain.head.seq})"
                )
            for number, text in enumerate(lines, start=2):
                chain.follow(_event(path, number, text))
                if chain.rows % _ROWS_BETWEEN_PROGRESS == 0:
                    progress(chain.rows)
    if chain is None:
        raise ArchiveError("there is no file to verify")
    return chain


class ArchiveFile:
    """An archive that is being written, by one process at a time.

    Every method raises ArchiveError; `begin` and `verify` raise ChainError too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        # It tells who signed in when: nobody else's business.
        self._file = _open(self.path, "a+b", mode=0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ArchiveError(f"{self.path} is being written by another process") from None
        return self

    def __exit__(self, *_: object) -> None:
        # What could not be written is tried once more, and has been told already.
        with contextlib.suppress(OSError):
            self._file.close()

    def begin(self, anchor: AuditPosition) -> AuditPosition:
        """The row that the file ends with; a new file begins after `anchor`.

        What an interrupted write left of a line is cut off: the row is still in the store.
        """
        with self._writing():
            self._cut_incomplete_line()
            if self._file.tell() == 0:
                self._file.write(msgspec.json.encode(_Header(anchor)) + b"\n")
                self._keep()
                _keep_directory(self.path.parent)
        return self.verify()

    def append(self, events: Iterable[AuditEvent]) -> None:
        """Write rows; they are on the disk when this returns."""
        with self._writing():
            self._file.write(b"".join(line(event) + b"\n" for event in events))
            self._keep()

    def verify(self) -> AuditPosition:
        """Read the whole file back, and return the row that it ends with."""
        return verify_files([self.path]).head

    def _cut_incomplete_line(self) -> None:
        end = self._file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - 65536)
            self._file.seek(start)
            newline = self._file.read(end - start).rfind(b"\n")
            if newline >= 0:
                self._file.truncate(start + newline + 1)
                break
            end = start
        else:
            self._file.truncate(0)
        self._file.seek(0, os.SEEK_END)

    def _keep(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArchiveError(f"{self.path} cannot be written: {error.strerror}") from None


def _is_json_in_one_line(text: str) -> bool:
    with contextlib.suppress(msgspec.DecodeError):
        msgspec.json.decode(text)
        return "\n" not in text
    return False


def _open(path: Path, flags: str, mode: int = 0o666) -> Any:
    try:
        return open(path, flags, opener=lambda name, how: os.open(name, how, mode))
    except OSError as error:
        raise ArchiveError(f"{path} cannot be opened: {error.strerror}") from None


def _keep_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _whole_lines(path: Path, file: Iterable[bytes]) -> Iterator[bytes]:
    for text in file:
        if not text.endswith(b"\n"):
            raise ArchiveError(
                f"{path} ends in the middle of a row: archiving was interrupted, repeat it"
            )
        yield text


def _anchor(path: Path, text: bytes) -> AuditPosition:
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        anchor = _header.decode(text).anchor
        if _HASH.fullmatch(anchor.hash):
            return anchor
    raise ArchiveError(f"{path} is not an archive of the audit trail")


def _event(path: Path, number: int, text: bytes) -> AuditEvent:
    try:
        row = _line.decode(text)
        detail = bytes(row.detail).decode() or None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ChainError(f"line {number} of {path} is not a row") from None
    return AuditEvent(**(msgspec.structs.asdict(row) | {"detail": detail}))
