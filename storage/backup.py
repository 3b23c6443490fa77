"""A backup of a store that goes on being used.

It takes a checkpoint, which closes the write-ahead log, and copies that checkpoint and all closed
logs that are still there. So one archive, added to again and again, can be restored to any moment
that its logs reach.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from storage.archive import FORMAT, Archive, ArchiveDirectoryError, File, Manifest, Progress
from storage.owner import Owner

# Tarantool removes old files after each checkpoint, except what a backup has begun to read. Only
# one may be under way: the lock in the store's directory shows that an older one was killed.
_BEGIN = """
    local fio, fiber, xlog = require('fio'), require('fiber'), require('xlog')
    while box.info.gc().checkpoint_is_in_progress do fiber.sleep(0.1) end
    pcall(box.backup.stop)
    box.backup.start(#box.info.gc().checkpoints - 1)
    local at = fiber.time()
    box.snapshot()
    local checkpoints = box.info.gc().checkpoints
    local newest = checkpoints[#checkpoints].signature
    local logs = {}
    for _, path in ipairs(fio.glob(fio.pathjoin(box.cfg.wal_dir, '*.xlog'))) do
        local name = fio.basename(path)
        if tonumber(name:match('^%d+')) < newest then
            for _, row in xlog.pairs(path) do
                table.insert(logs, { name, row.HEADER.timestamp })
                break
            end
        end
    end
    local restored = box.space._schema:get('history')
    local schema = box.space.schema_version.index.primary:max().version
    return {
        logs = logs, at = at,
        checkpoint = { ('%020d.snap'):format(newest), fiber.time() },
        history = restored ~= nil and restored[2] or box.info.uuid,
        tarantool = box.info.version, schema_version = schema,
    }
"""


class _Begun(msgspec.Struct, frozen=True):
    """What there is to copy, each with its `File.at`; all that was written before `at` is in it."""

    logs: list[tuple[str, float]]
    checkpoint: tuple[str, float]
    history: str
    tarantool: str
    schema_version: int
    at: float


def backup(owner: Owner, store: Path, directory: Path, progress: Progress) -> Manifest:
    """Add to an archive what the store in a directory has written so far; return its manifest.

    What was interrupted goes on where it stopped. Raises ArchiveDirectoryError, Unavailable and
    StoreBug.
    """
    archive = Archive.open(directory)
    with _alone(store):
        begun = msgspec.convert(owner.eval(_BEGIN), _Begun)
        try:
            return _add(archive, store, begun, progress)
        finally:
            owner.eval("box.backup.stop() return true")


def _add(archive: Archive, store: Path, begun: _Begun, progress: Progress) -> Manifest:
    known = archive.manifest
    if known is not None and known.history != begun.history:
        raise ArchiveDirectoryError(
            f"{archive.directory} is the backup of another store, or of this one before it was "
            "restored: give an empty directory"
        )
    manifest = Manifest(
        format=FORMAT,
        history=begun.history,
        tarantool=begun.tarantool,
        schema_version=begun.schema_version,
        complete_until=known.complete_until if known is not None else None,
        files=known.files if known is not None else (),
    )
    archive.write(manifest)
    kept = {file.name for file in manifest.files}
    missing = [it for it in (*begun.logs, begun.checkpoint) if it[0] not in kept]
    try:
        total, done = sum((store / name).stat().st_size for name, _ in missing), 0
    except OSError as error:
        raise ArchiveDirectoryError(f"{error.filename}: {error.strerror}") from None

    def told(copied: int) -> None:
        nonlocal done
        done += copied
        progress("copied", done, total)

    for name, at in missing:
        file = File(name, *archive.take(store / name, told), at)
        manifest = replace(manifest, files=(*manifest.files, file))
        archive.write(manifest)
    manifest = replace(manifest, complete_until=begun.at)
    archive.write(manifest)
    return manifest


@contextlib.contextmanager
def _alone(store: Path) -> Iterator[None]:
    try:
        lock = os.open(store / "backup.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ArchiveDirectoryError(f"{error.filename}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ArchiveDirectoryError("another backup of this store is under way") from None
    try:
        yield
    finally:
        os.close(lock)
