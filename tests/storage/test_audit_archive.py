"""Archived rows are in the file or in the store, whenever it is interrupted, and stay one chain."""

import asyncio
import contextlib
import itertools
import json
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage import audit_trail
from storage import outcomes as o
from storage.audit_chain import BEGINNING, ChainError
from storage.audit_file import ArchiveError, ArchiveFile, verify_files
from storage.audit_trail import PAGE, Archived
from storage.records import AuditEvent, AuditPosition, By
from storage.store import Store
from tests.storage.builders import NOW, Owner
from tests.storage.test_audit import all_rows, record, record_many

ANN = By("ann@ops", "retention")
COUNT = PAGE * 2 + 100
EVERYTHING = NOW + COUNT + 1


class Interrupted(BaseException):
    """As a signal would."""


def interrupt_at(step: int) -> Callable[[int], None]:
    steps = itertools.count(1)

    def progress(_: int) -> None:
        if next(steps) == step:
            raise Interrupted

    return progress


async def archive(
    store: Store,
    path: Path,
    *,
    before: int = EVERYTHING,
    progress: Callable[[int], None] = lambda _: None,
) -> Archived:
    with ArchiveFile(path) as file:
        return await audit_trail.archive(
            store, file, before=before, by=ANN, now=EVERYTHING, progress=progress
        )


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """As on a full disk: no file of this process grows beyond 20 kB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def in_file(path: Path) -> list[int]:
    _, *rows = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(row)["seq"] for row in rows]


async def in_store(store: Store) -> list[int]:
    return [row.seq for row in await all_rows(store)]


@pytest.fixture
async def rows(fresh_store: Store, fresh_owner: Owner) -> tuple[AuditEvent, ...]:
    """A trail whose rows are a second apart."""
    await record_many(fresh_owner, COUNT)
    return await all_rows(fresh_store)


@pytest.fixture
def path(directory: Path) -> Path:
    return directory / "audit.jsonl"


async def test_the_oldest_rows_move_to_the_file(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    archived = await archive(fresh_store, path, before=NOW + 701)

    assert archived == Archived(700, AuditPosition(700, rows[699].hash))
    assert in_file(path) == list(range(1, 701))
    *remaining, event = await all_rows(fresh_store)
    assert tuple(remaining) == rows[700:]
    assert (event.event, event.by, event.reason) == ("audit_archived", "ann@ops", "retention")
    assert json.loads(event.detail or "") == {"seq": 700, "hash": rows[699].hash}
    assert mode(path) == 0o600


async def test_the_file_and_the_store_are_one_chain(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    archived = await archive(fresh_store, path, before=NOW + 701)

    files = verify_files([path])
    store = await audit_trail.verify(fresh_store, [files.head])
    store.end()

    assert (files.anchor, files.head) == (BEGINNING, archived.head)
    assert (store.anchor, store.rows) == (archived.head, COUNT - 700 + 1)


async def test_the_trail_goes_on_when_all_its_rows_are_archived(
    fresh_store: Store, fresh_owner: Owner, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    await archive(fresh_store, path)
    await record(fresh_owner)

    assert await in_store(fresh_store) == [COUNT + 1, COUNT + 2]  # the first tells of the archive
    assert (await audit_trail.verify(fresh_store)).head.seq == COUNT + 2


async def test_a_beginning_that_no_archive_accounts_for_is_missed(
    fresh_store: Store, fresh_owner: Owner, rows: tuple[AuditEvent, ...]
) -> None:
    await fresh_owner.eval(
        "local last = box.space.audit:get(19)"
        " for seq = 1, 19 do box.space.audit:delete(seq) end"
        " require('audit_trail').set_anchor(last, 19) return true"
    )

    with pytest.raises(ChainError, match="rows 1 to 19 are missing and no archive accounts"):
        await audit_trail.verify(fresh_store)


async def test_an_archive_accounts_for_its_own_rows_and_no_more(
    fresh_store: Store, fresh_owner: Owner, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    await archive(fresh_store, path)
    await record(fresh_owner)
    await fresh_owner.eval(
        "local anchor = box.space.audit.index.primary:min() box.space.audit:delete(anchor.seq)"
        " require('audit_trail').set_anchor(anchor, anchor.seq) return true"
    )

    with pytest.raises(ChainError, match="the beginning was cut off"):
        await audit_trail.verify(fresh_store)


async def test_an_archive_is_continued_by_the_next(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    for before in (100, 100, 50, 900):
        await archive(fresh_store, path, before=NOW + before)

    assert in_file(path) == list(range(1, 900))
    told = [row.detail for row in await all_rows(fresh_store) if row.event == "audit_archived"]
    assert [json.loads(detail or "")["seq"] for detail in told] == [99, 899]


async def test_a_new_file_continues_the_one_before_it(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    second = path.with_suffix(".2")
    await archive(fresh_store, path, before=NOW + 101)
    await archive(fresh_store, second, before=NOW + 201)

    chain = verify_files([path, second])

    assert (chain.rows, chain.head.hash) == (200, rows[199].hash)
    with pytest.raises(ChainError, match="which is not the one that the file before it ends with"):
        verify_files([second, path])


async def test_a_file_that_ends_too_early_is_not_continued(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    await archive(fresh_store, path, before=NOW + 101)
    await archive(fresh_store, path.with_suffix(".2"), before=NOW + 201)

    with pytest.raises(ArchiveError, match="ends with row 100, but the store begins with row 201"):
        await archive(fresh_store, path)

    assert await in_store(fresh_store) == list(range(201, COUNT + 3))


@pytest.mark.parametrize("step", range(1, 7))
async def test_what_is_interrupted_anywhere_is_finished_by_the_next_call(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path, step: int
) -> None:
    with pytest.raises(Interrupted):
        await archive(fresh_store, path, progress=interrupt_at(step))
    between = in_file(path), await in_store(fresh_store)
    assert set(between[0]) | set(between[1]) >= set(range(1, COUNT + 1))

    await archive(fresh_store, path)

    assert in_file(path) == list(range(1, COUNT + 1))
    (event,) = await all_rows(fresh_store)
    assert (event.seq, event.event) == (COUNT + 1, "audit_archived")
    (await audit_trail.verify(fresh_store, [verify_files([path]).head])).end()


async def test_a_file_that_a_crash_has_cut_anywhere_is_completed(
    fresh_store: Store, fresh_owner: Owner, path: Path
) -> None:
    await record_many(fresh_owner, 3)
    with pytest.raises(Interrupted):
        await archive(fresh_store, path, progress=interrupt_at(1))
    whole = read(path)

    for length in range(len(whole)):
        write(path, whole[:length])
        with pytest.raises(Interrupted):
            await archive(fresh_store, path, progress=interrupt_at(1))
        assert read(path) == whole


async def test_a_file_that_was_cut_is_told_when_it_is_verified(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    archived = await archive(fresh_store, path)
    write(path, read(path)[:-1])

    with pytest.raises(ArchiveError, match="ends in the middle of a row"):
        verify_files([path])

    write(path, read(path).rpartition(b"\n")[0] + b"\n")
    with pytest.raises(ChainError, match=f"row {COUNT} is missing"):
        verify_files([path], [archived.head]).end()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"sub":"sub-2"', '"sub":"sub-0"', "row 2 does not fit"),
        ('"seq":2', '"seq":7', "rows 2 to 6 are missing, before row 7"),
        ('{"seq":2', '{"seq":1', "row 1 stands after row 1"),
        ('{"seq":2', '{"seq":', "line 3 of .* is not a row"),
        ('{"anchor"', '{"else"', "is not an archive of the audit trail"),
    ],
)
async def test_a_changed_file_is_told_and_not_continued(  # noqa: PLR0917  arrangement and table
    fresh_store: Store,
    rows: tuple[AuditEvent, ...],
    path: Path,
    old: str,
    new: str,
    message: str,
) -> None:
    await archive(fresh_store, path, before=NOW + 101)
    write(path, read(path).replace(old.encode(), new.encode(), 1))

    with pytest.raises((ArchiveError, ChainError), match=message):
        verify_files([path])
    with pytest.raises((ArchiveError, ChainError), match=message):
        await archive(fresh_store, path)

    assert await in_store(fresh_store) == list(range(101, COUNT + 2))


async def test_any_changed_byte_of_a_file_is_told(
    fresh_store: Store, fresh_owner: Owner, path: Path
) -> None:
    fields: dict[str, Any] = {
        "by": "Аня",
        "reason": 'a "b"',
        "detail": {"to": "c/d", "n": [1, True]},
    }
    for _ in range(2):
        await record(fresh_owner, **fields)
    await archive(fresh_store, path)
    whole = read(path)

    for place in range(len(whole)):
        for byte in {whole[place] ^ 1, whole[place] ^ 0x20, 0xFF, ord("0")} - {whole[place]}:
            write(path, whole[:place] + bytes([byte]) + whole[place + 1 :])
            with pytest.raises((ArchiveError, ChainError)):
                verify_files([path])


async def test_rows_that_do_not_fit_are_not_archived(
    fresh_store: Store, fresh_owner: Owner, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    await fresh_owner.eval("box.space.audit:update(700, { { '=', 'sub', 'other' } }) return true")

    with pytest.raises(ChainError, match="row 700 does not fit"):
        await archive(fresh_store, path)

    assert await in_store(fresh_store) == list(range(1, COUNT + 1))


async def test_a_detail_that_is_not_json_does_not_pass_for_archived(
    fresh_store: Store, fresh_owner: Owner, path: Path
) -> None:
    # With a hash that fits: written by somebody who can write to the space.
    await fresh_owner.eval("""
        require('audit_trail').record('forged', 1, {})
        local digest = require('digest')
        local text = ('32:%s,1:1,1:1,6:forged,----4:{\\n'):format(('\\0'):rep(32)) .. '\\n},'
        box.space.audit:update(1, {
            { '=', 'detail', '{\\n\\n}' }, { '=', 'hash', digest.sha256(text) },
        })
        return true
    """)
    await audit_trail.verify(fresh_store)

    with pytest.raises(ChainError, match="row 1 does not fit"):
        await archive(fresh_store, path)

    assert await in_store(fresh_store) == [1]


async def test_only_what_is_known_by_its_hash_is_removed(
    fresh_store: Store, rows: tuple[AuditEvent, ...]
) -> None:
    wrong = [AuditPosition(5, rows[5].hash), AuditPosition(COUNT + 1, rows[-1].hash)]

    answers = [await fresh_store.audit_remove(p, limit=PAGE, by=ANN, now=NOW) for p in wrong]

    assert answers == [o.Unknown()] * 2
    assert await all_rows(fresh_store) == rows


async def test_a_removal_may_be_repeated_and_is_as_big_as_its_limit(
    fresh_store: Store, rows: tuple[AuditEvent, ...]
) -> None:
    through = AuditPosition(25, rows[24].hash)

    answers = [await fresh_store.audit_remove(through, limit=10, by=ANN, now=NOW) for _ in range(4)]

    assert answers == [o.Removed(15), o.Removed(5), o.Removed(0), o.Removed(0)]
    assert await in_store(fresh_store) == list(range(26, COUNT + 2))


async def test_a_file_is_written_by_one_process_at_a_time(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    with (
        ArchiveFile(path),
        pytest.raises(ArchiveError, match="is being written by another process"),
    ):
        await archive(fresh_store, path)

    assert await all_rows(fresh_store) == rows


async def test_what_cannot_be_written_stays_in_the_store(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    with small_files(), pytest.raises(ArchiveError, match="cannot be written: File too large"):
        await archive(fresh_store, path)

    assert await all_rows(fresh_store) == rows
    await archive(fresh_store, path)
    assert in_file(path) == list(range(1, COUNT + 1))


async def test_the_trail_is_verified_and_read_while_it_is_archived(
    fresh_store: Store, rows: tuple[AuditEvent, ...], path: Path
) -> None:
    head = AuditPosition(COUNT, rows[-1].hash)
    wanted = audit_trail.Wanted()
    moving = asyncio.create_task(archive(fresh_store, path))

    seqs = [event.seq async for event in audit_trail.onward(fresh_store, wanted)]
    chain = await audit_trail.verify(fresh_store, [head])

    assert seqs == sorted(set(seqs))
    chain.end()
    await moving
