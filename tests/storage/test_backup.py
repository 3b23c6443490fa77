"""A backup is complete, may be taken at any time, and leads back to any moment."""

import asyncio
import base64
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

import msgspec
import pytest

from storage import audit_trail
from storage import outcomes as o
from storage.archive import Archive, ArchiveDirectoryError, Manifest
from storage.backup import backup
from storage.child import PrivateTarantool
from storage.errors import StoreStartError
from storage.owner import Owner
from storage.records import By
from storage.restore import Restored, restore
from storage.store import Store
from tests.storage.builders import CLIENT, NOW, Grant, digest, open_grant, successor
from tests.storage.migrating import STEPS
from tests.storage.saved import MEMORY

BY = By("alice@ops", "a test")
EXPAND = """
    local directory = ...
    local migrator = require('migrator')
    local steps = table.copy(require('migrations').steps)
    table.insert(steps, dofile(directory .. '/expand.lua'))
    table.insert(steps, dofile(directory .. '/expand_index.lua'))
    migrator.read_texts(steps)
    return migrator.apply(steps)
"""
FORGET = "box.space.schema_version:delete(box.space.schema_version:count()) return true"
EVERY_ROW = """
    local digest, msgpack = require('digest'), require('msgpack')
    local rows = {}
    for id, space in pairs(box.space) do
        if type(id) == 'number' and id >= 512 then
            rows[space.name] = {}
            for _, row in space:pairs() do
                local bytes = digest.base64_encode(msgpack.encode(row), { nowrap = true })
                table.insert(rows[space.name], bytes)
            end
        end
    end
    return rows
"""
Rows = dict[str, list[str]]
"""The bytes of all rows, by space."""


def nobody(what: str, done: int, total: int) -> None:
    """Nobody looks at the progress."""


@pytest.fixture
def archive(directory: Path) -> Path:
    return directory / "archive"


@pytest.fixture
def tarantool(directory: Path) -> Iterator[PrivateTarantool]:
    process = PrivateTarantool(directory / "store", MEMORY)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def owner(tarantool: PrivateTarantool) -> Iterator[Owner]:
    connected = Owner.connect(tarantool.directory)
    yield connected
    connected.close()


@pytest.fixture
async def store(tarantool: PrivateTarantool) -> AsyncIterator[Store]:
    connected = await Store.connect(tarantool.socket_path, tarantool.password, 5.0)
    yield connected
    await connected.close()


def back_up(owner: Owner, tarantool: PrivateTarantool, archive: Path) -> Manifest:
    return backup(owner, tarantool.directory, archive, nobody)


def bring_back(archive: Path, place: Path, before: float | None = None) -> Restored:
    return restore(archive, place, MEMORY, before=before, by=BY, now=NOW, progress=nobody)


def rows_of(owner: Owner) -> Rows:
    rows: Rows = owner.eval(EVERY_ROW)
    return rows


def rows_in(place: Path) -> Rows:
    """What a restored store holds, apart from the event that it was restored."""
    process = PrivateTarantool(place, MEMORY)
    process.start()
    try:
        owner = Owner.connect(place)
        rows = rows_of(owner)
        owner.close()
    finally:
        process.stop()
    assert b"store_restored" in base64.b64decode(rows["audit"].pop())
    return rows


def made_at(archive: Path) -> dict[str, int]:
    """Of each log."""
    return {path.name: path.stat().st_mtime_ns for path in archive.glob("*.xlog")}


class Load:
    """Customers who sign in and refresh without a pause, and what they were answered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ended = False
        self.rotated: dict[str, tuple[Grant, str]] = {}

    async def run(self) -> None:
        while not self._ended:
            grant = await open_grant(self._store, offline=True)
            token = grant.token
            for _ in range(3):
                assert isinstance(await grant.rotate(self._store, token), o.Rotated)
                token = successor(token)
                self.rotated[grant.grant_id] = grant, token

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self.run()) for _ in range(8)]
        await asyncio.sleep(0.3)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ended = True
        await asyncio.gather(*self._tasks)


async def test_under_load_a_backup_holds_all_that_was_answered_before_it(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner, store: Store
) -> None:
    async with Load(store) as load:
        answered = dict(load.rotated)
        await asyncio.to_thread(back_up, owner, tarantool, archive)
    assert len(load.rotated) > len(answered) > 0

    bring_back(archive, directory / "place")
    process = PrivateTarantool(directory / "place", MEMORY)
    process.start()
    restored = await Store.connect(process.socket_path, process.password, 5.0)
    try:
        for grant, token in answered.values():
            # It may have gone on meanwhile; it has not fallen behind.
            tokens = token, successor(token), successor(successor(token))
            current = [
                await restored.refresh_token_read(
                    grant_id=grant.grant_id, client_id=CLIENT, presented_hash=digest(it), now=NOW
                )
                for it in tokens
            ]
            assert any(answer != o.Inactive() for answer in current)
        await audit_trail.verify(restored, [], lambda _: None)
    finally:
        await restored.close()
        process.stop()


async def test_in_the_end_every_space_is_what_it_was(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner, store: Store
) -> None:
    async with Load(store):
        for _ in range(3):
            await asyncio.to_thread(back_up, owner, tarantool, archive)
    back_up(owner, tarantool, archive)

    bring_back(archive, directory / "place")

    assert rows_in(directory / "place") == rows_of(owner)


async def test_a_backup_leads_back_to_any_moment(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner, store: Store
) -> None:
    await open_grant(store)
    back_up(owner, tarantool, archive)
    await open_grant(store)
    moments = []
    for turn in range(4):
        async with Load(store):
            pass
        # Between two transactions: the log's clock has parts of a millisecond.
        await asyncio.sleep(0.01)
        moments.append((owner.eval("return require('fiber').time()"), rows_of(owner)))
        await asyncio.sleep(0.01)
        if turn % 2:
            await asyncio.to_thread(back_up, owner, tarantool, archive)
    async with Load(store):
        pass
    back_up(owner, tarantool, archive)

    for number, (moment, rows) in enumerate(moments):
        place = directory / f"place-{number}"
        restored = bring_back(archive, place, before=moment)
        assert restored.rows_replayed > 0
        assert rows_in(place) == rows


async def test_the_way_back_leads_through_a_migration(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner, store: Store
) -> None:
    await open_grant(store)
    back_up(owner, tarantool, archive)
    await open_grant(store)
    assert owner.eval(EXPAND, str(STEPS)) == ["expand", "expand_index"]
    owner.eval("box.space.card:insert({ 7 }) box.space.card:truncate() return true")
    owner.eval("box.space.card:insert({ 8 }) return true")
    await open_grant(store)
    # The server that looks into what was restored knows nothing of these two.
    for _ in range(2):
        owner.eval(FORGET)
    await asyncio.sleep(0.01)
    moment, rows = owner.eval("return require('fiber').time()"), rows_of(owner)
    back_up(owner, tarantool, archive)

    bring_back(archive, directory / "place", before=moment)

    assert rows_in(directory / "place") == rows


def test_everything_in_it_is_the_owners_alone(
    archive: Path, tarantool: PrivateTarantool, owner: Owner
) -> None:
    back_up(owner, tarantool, archive)

    for path in (archive, *archive.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_what_was_interrupted_goes_on(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner, store: Store
) -> None:
    await open_grant(store)

    def interrupt(what: str, done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(owner, tarantool.directory, archive, interrupt)
    with pytest.raises(ArchiveDirectoryError, match="has no checkpoint: it was interrupted"):
        bring_back(archive, directory / "place")
    kept = made_at(archive)
    assert kept
    back_up(owner, tarantool, archive)

    assert made_at(archive) == kept
    bring_back(archive, directory / "place")
    assert rows_in(directory / "place") == rows_of(owner)


def test_a_backup_whose_process_was_killed_does_not_keep_the_next_from_running(
    archive: Path, tarantool: PrivateTarantool, owner: Owner
) -> None:
    owner.eval("return box.backup.start()")

    assert back_up(owner, tarantool, archive).checkpoints


def test_of_two_backups_at_once_one_is_refused(
    archive: Path, tarantool: PrivateTarantool, owner: Owner
) -> None:
    def second(what: str, done: int, total: int) -> None:
        with pytest.raises(ArchiveDirectoryError, match="another backup of this store"):
            back_up(owner, tarantool, archive)

    backup(owner, tarantool.directory, archive, second)


def test_a_file_that_was_changed_is_not_restored(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner
) -> None:
    checkpoint = archive / back_up(owner, tarantool, archive).checkpoints[-1].name
    with checkpoint.open("r+b") as file:
        file.seek(-30, os.SEEK_END)
        file.write(b"?")

    with pytest.raises(ArchiveDirectoryError, match="is not the file that was backed up"):
        bring_back(archive, directory / "place")
    assert not list((directory / "place").glob("*.snap"))
    assert not (directory / "place" / "restoring").exists()


def test_a_place_that_holds_a_store_is_left_alone(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner
) -> None:
    back_up(owner, tarantool, archive)
    with pytest.raises(StoreStartError, match="is in use by process"):
        bring_back(archive, tarantool.directory)

    bring_back(archive, directory / "place")
    with pytest.raises(ArchiveDirectoryError, match="holds a store: restore into an empty place"):
        bring_back(archive, directory / "place")


async def test_a_moment_that_the_backup_does_not_reach_is_refused(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner, store: Store
) -> None:
    await open_grant(store)
    manifest = back_up(owner, tarantool, archive)
    assert manifest.complete_until is not None

    with pytest.raises(ArchiveDirectoryError, match="ends before that moment"):
        bring_back(archive, directory / "place", before=manifest.complete_until + 1)
    with pytest.raises(ArchiveDirectoryError, match="begins after that moment"):
        bring_back(archive, directory / "place", before=manifest.complete_until - 3600)


async def test_a_moment_in_which_nothing_was_written_is_led_back_to(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner, store: Store
) -> None:
    await open_grant(store)
    back_up(owner, tarantool, archive)
    moment, rows = owner.eval("return require('fiber').time()"), rows_of(owner)
    await asyncio.sleep(0.05)
    await open_grant(store)
    back_up(owner, tarantool, archive)

    assert bring_back(archive, directory / "place", before=moment).rows_replayed == 0
    assert rows_in(directory / "place") == rows


async def test_a_gap_in_the_logs_is_refused(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner, store: Store
) -> None:
    for _ in range(3):
        await open_grant(store)
        back_up(owner, tarantool, archive)
    await open_grant(store)
    manifest = back_up(owner, tarantool, archive)
    base, missing = manifest.checkpoints[0], manifest.logs[-2]
    kept = (base, *(file for file in manifest.logs if file != missing))
    Archive.open(archive).write(msgspec.structs.replace(manifest, files=kept))

    with pytest.raises(StoreStartError, match=r"the backup has a gap: rows .* are missing"):
        bring_back(archive, directory / "place", before=manifest.complete_until)
    assert not list((directory / "place").glob("*.snap"))


def test_what_a_restored_store_writes_does_not_mix_with_what_was_backed_up_before(
    directory: Path, archive: Path, tarantool: PrivateTarantool, owner: Owner
) -> None:
    back_up(owner, tarantool, archive)
    bring_back(archive, directory / "place")
    process = PrivateTarantool(directory / "place", MEMORY)
    process.start()
    other = Owner.connect(process.directory)

    with pytest.raises(ArchiveDirectoryError, match="backup of another store, or of this one bef"):
        back_up(other, process, archive)
    assert back_up(other, process, directory / "new").checkpoints
    other.close()
    process.stop()


def test_a_directory_with_other_files_is_left_alone(
    archive: Path, tarantool: PrivateTarantool, owner: Owner
) -> None:
    archive.mkdir()
    (archive / "holiday.jpg").touch()

    with pytest.raises(ArchiveDirectoryError, match="holds other files, and no backup"):
        back_up(owner, tarantool, archive)
    assert [path.name for path in archive.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("name", ["abc.snap", "../00000000000000000001.snap", "1.snap"])
def test_a_manifest_that_names_other_files_is_of_no_use(
    archive: Path, tarantool: PrivateTarantool, owner: Owner, name: str
) -> None:
    manifest = back_up(owner, tarantool, archive)
    file = msgspec.structs.replace(manifest.checkpoints[-1], name=name)
    Archive.open(archive).write(msgspec.structs.replace(manifest, files=(file,)))

    with pytest.raises(ArchiveDirectoryError, match=r"manifest\.json is not a manifest"):
        Archive.open(archive)
