"""A restore of a backup into an empty place, as of its end or of an earlier moment."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from conf.node_settings import NodeSettings
from storage import offline
from storage.archive import Archive, ArchiveDirectoryError, File, Manifest, Progress
from storage.child import PrivateTarantool, holds_data
from storage.records import By


class Restored(msgspec.Struct, frozen=True):
    """What was restored: a checkpoint, and so many logged rows after it."""

    checkpoint: str
    rows_replayed: int
    before: float | None


def restore(
    directory: Path,
    place: Path,
    memory_bytes: int,
    *,
    node: NodeSettings | None = None,
    before: float | None,
    by: By,
    now: int,
    progress: Progress,
) -> Restored:
    """Restore an archive to what it held at its end, or `before` a moment in Unix seconds.

    It becomes a server's private store, or the first files of a `node`, whosever the archive is.
    It appears in its place as one file and at once, when everything else has succeeded.
    Raises ArchiveDirectoryError and StoreStartError.
    """
    archive = Archive.open(directory)
    if archive.manifest is None:
        raise ArchiveDirectoryError(f"{directory} holds no backup")
    checkpoint, logs = _chosen(archive.manifest, before)
    order = {
        "now": now,
        "by": by.by,
        "reason": by.reason,
        "history": archive.manifest.history,
        "before": before,
        "node": msgspec.to_builtins(node.identity) if node is not None else None,
    }
    with _empty_place(place, memory_bytes) as draft:
        _give(archive, draft, [checkpoint, *logs], progress)
        progress("loading", 0, 0)
        rows = offline.run(
            offline.LUA / "restore.lua",
            draft,
            memory_bytes,
            [str(draft / "logs" / file.name) for file in logs],
            {name: value for name, value in order.items() if value is not None},
        )
        newest = max(draft.glob("*.snap"))
        newest.rename(place / newest.name)
    return Restored(checkpoint.name, rows, before)


def _chosen(manifest: Manifest, before: float | None) -> tuple[File, list[File]]:
    """The checkpoint to begin with, and the logs to replay on it."""
    checkpoints = manifest.checkpoints
    if not checkpoints:
        raise ArchiveDirectoryError("the backup has no checkpoint: it was interrupted, repeat it")
    if before is None:
        return checkpoints[-1], []
    if manifest.complete_until is None or before > manifest.complete_until:
        raise ArchiveDirectoryError("the backup ends before that moment")
    # What a checkpoint holds is also older than the first row of the log after it.
    began = {file.signature: file.at for file in manifest.logs}
    earlier = [it for it in checkpoints if min(it.at, began.get(it.signature, it.at)) <= before]
    if not earlier:
        raise ArchiveDirectoryError("the backup begins after that moment")
    base = earlier[-1]
    return base, [it for it in manifest.logs if it.signature >= base.signature]


def _give(archive: Archive, draft: Path, files: list[File], progress: Progress) -> None:
    total, done = sum(file.bytes for file in files), 0

    def told(copied: int) -> None:
        nonlocal done
        done += copied
        progress("copied", done, total)

    # Apart, or Tarantool would read them all when it loads the checkpoint.
    (draft / "logs").mkdir(mode=0o700)
    for file in files:
        archive.give(file, draft if file.is_checkpoint else draft / "logs", told)


@contextlib.contextmanager
def _empty_place(place: Path, memory_bytes: int) -> Iterator[Path]:
    store = PrivateTarantool(place, memory_bytes)
    store.lock()
    draft = place / "restoring"
    try:
        if holds_data(place):
            raise ArchiveDirectoryError(
                f"{place} holds a store: restore into an empty place, or move that one away"
            )
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        store.stop()
