"""Migrations: each whole and once, in order, never edited, and many rows changed unnoticed."""

import asyncio
import contextlib
import datetime as dt
import json
import random
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage import migrations, offline
from storage import outcomes as o
from storage import owner as operator
from storage.child import PrivateTarantool
from storage.errors import StoreBug, StoreStartError
from storage.records import By
from storage.store import Store
from tests.storage.builders import (
    LIFETIMES,
    NOW,
    RIGHT,
    Owner,
    PhoneGrant,
    new_challenge,
    new_phone,
    open_grant,
)
from tests.storage.migrating import STEPS, Bare
from tests.storage.saved import EVERY_ROW, MEMORY, SAVED

PEOPLE, BY_NAME, INITIALS = "0001_people", "0002_people_by_name", "0003_initials"
ALL = PEOPLE, BY_NAME, INITIALS
KILL_ITSELF = """
    local ffi = require('ffi')
    ffi.cdef('int kill(int pid, int signal); int getpid(void);')
    local last = steps[#steps]
    local up = last.up
    last.up = function() up() ffi.C.kill(ffi.C.getpid(), 9) end
    return migrator.apply(steps)
"""
FILL = """
    local many = ...
    for id = 1, many do
        if id % 1000 == 1 then box.begin() end
        box.space.person:insert({ id, 'name-' .. id })
        if id % 1000 == 0 or id == many then box.commit() end
    end
    return box.space.person:count()
"""
SCHEMA = "return { box.space.schema_version:count(), #box.space._index:select() }"
PROGRESS = """
    local changed = 0
    for _, person in box.space.person:pairs() do
        if person.changes ~= nil then changed = changed + person.changes end
    end
    local cursor = box.space.schema_version:get(3).cursor
    return { changed, cursor ~= nil and cursor or 'done' }
"""


@pytest.fixture
def bare(directory: Path) -> Iterator[Bare]:
    process = Bare(directory)
    process.start()
    yield process
    process.kill()


async def test_migrations_are_applied_in_order_and_once(bare: Bare) -> None:
    assert await bare.apply(PEOPLE, BY_NAME) == [PEOPLE, BY_NAME]
    assert await bare.apply(*ALL) == [INITIALS]
    assert await bare.apply(*ALL) == []

    rows = await bare.eval("return box.space.schema_version:select()")
    assert [(version, name) for version, name, *_ in rows] == list(enumerate(ALL, 1))


async def test_what_would_be_applied_is_told_and_nothing_is_written(bare: Bare) -> None:
    pending = "return migrator.pending(steps)"
    assert await bare.with_steps(pending, *ALL) == list(ALL)
    assert await bare.eval("return box.space.schema_version == nil")

    await bare.apply(PEOPLE)
    assert await bare.with_steps(pending, *ALL) == [BY_NAME, INITIALS]


@pytest.mark.parametrize("call", ["apply", "pending"])
async def test_an_edited_migration_is_an_error(bare: Bare, call: str) -> None:
    await bare.apply(PEOPLE)

    edited = f"steps[1].text = steps[1].text .. '-- later' return migrator.{call}(steps)"
    with pytest.raises(Exception, match="migration 0001_people was edited after this store had"):
        await bare.with_steps(edited, *ALL)
    assert await bare.eval("return box.space.schema_version:count()") == 1


async def test_line_endings_and_blanks_at_their_ends_are_no_edit(bare: Bare) -> None:
    await bare.apply(PEOPLE)

    other = "steps[1].text = steps[1].text:gsub('\\n', ' \\r\\n') return migrator.apply(steps)"
    assert await bare.with_steps(other, PEOPLE) == []


async def test_another_migration_of_that_number_is_an_error(bare: Bare) -> None:
    await bare.apply(PEOPLE)

    with pytest.raises(Exception, match="migration 1 of the store is 0001_people, of this server"):
        await bare.apply(BY_NAME)


async def test_a_store_of_a_later_version_is_left_alone(bare: Bare) -> None:
    await bare.apply(PEOPLE, BY_NAME)

    with pytest.raises(Exception, match="has schema version 2, this server knows only 1"):
        await bare.apply(PEOPLE)


async def test_a_migration_that_fails_leaves_nothing(bare: Bare) -> None:
    await bare.apply(PEOPLE)
    before = await bare.eval(SCHEMA)

    failing = """
        local up = steps[2].up
        steps[2].up = function() up() error('no') end
        migrator.apply(steps)
    """
    with pytest.raises(Exception, match=r"migration 0002_people_by_name failed: .*no"):
        await bare.with_steps(failing, *ALL)
    assert await bare.eval(SCHEMA) == before


@pytest.mark.parametrize("steps", [ALL[:1], ALL[:2], ALL], ids=["first", "index", "format"])
async def test_a_kill_between_a_change_and_its_version_undoes_both(
    bare: Bare, steps: tuple[str, ...]
) -> None:
    await bare.apply(*steps[:-1])
    if len(steps) > 1:
        await bare.eval(FILL, 1000)
    before = await bare.eval(SCHEMA) if len(steps) > 1 else None

    with contextlib.suppress(Exception):
        await bare.with_steps(KILL_ITSELF, *steps)
    bare.ended()
    bare.start()

    if before is not None:
        assert await bare.eval(SCHEMA) == before
    assert await bare.apply(*ALL) == list(ALL[len(steps) - 1 :])


async def test_an_index_of_many_rows_survives_kills_at_any_time(bare: Bare) -> None:
    await bare.apply(PEOPLE)
    many = await bare.eval(FILL, 100_000)

    for _ in range(4):
        building = asyncio.create_task(bare.apply(PEOPLE, BY_NAME))
        await asyncio.sleep(random.uniform(0, 0.15))
        bare.kill()
        # A connection that the kill has prevented is tried for ever.
        with contextlib.suppress(Exception):
            await asyncio.wait_for(building, 2)
        bare.start()

    await bare.apply(PEOPLE, BY_NAME)
    assert await bare.eval("return box.space.person.index.name:count()") == many
    assert await bare.eval("return box.space.schema_version:count()") == 2


async def test_requests_are_answered_while_an_index_is_built(bare: Bare) -> None:
    await bare.apply(PEOPLE)
    many = await bare.eval(FILL, 100_000)
    owner = await Owner.connect(bare.directory)

    building = asyncio.create_task(bare.apply(PEOPLE, BY_NAME))
    written = 0
    while not building.done():
        written += 1
        await owner.eval("box.space.person:insert({ ..., 'late' }) return true", many + written)
    await owner.close()

    assert await building == [BY_NAME]
    assert written > 5
    assert await bare.eval("return box.space.person.index.name:count()") == many + written


async def test_a_migration_that_failed_is_not_under_way(bare: Bare) -> None:
    failing = "return migrator.alone(function() error('full', 0) end)"
    for _ in range(2):
        with pytest.raises(Exception, match="full"):
            await bare.with_steps(failing, PEOPLE)


async def backfilling(bare: Bare) -> None:
    await bare.with_steps(
        "require('tx').watch_writes() require('backfill').start(steps) return true", *ALL
    )


async def backfilled(bare: Bare, many: int) -> None:
    deadline = time.monotonic() + 20
    while (progress := await bare.eval(PROGRESS)) != [many, "done"]:
        assert time.monotonic() < deadline, progress
        await asyncio.sleep(0.05)


async def test_many_rows_are_changed_in_bounded_batches_that_a_kill_does_not_repeat(
    bare: Bare,
) -> None:
    await bare.apply(PEOPLE)
    many = await bare.eval(FILL, 10_000)
    await bare.apply(*ALL)
    assert await bare.eval(PROGRESS) == [0, []]

    await backfilling(bare)
    changed, places = 0, set()
    while changed < many // 2:
        changed, cursor = await bare.eval(PROGRESS)
        assert changed % 100 == 0
        places.add(str(cursor))
    # It was seen on its way: others had their turn between its batches.
    assert len(places) > 5

    bare.kill()
    bare.start()
    await backfilling(bare)
    # Each row once: the place and the rows before it are one transaction.
    await backfilled(bare, many)


async def test_a_backfill_waits_for_the_right_to_write_and_goes_on_after_a_failure(
    bare: Bare,
) -> None:
    await bare.apply(PEOPLE)
    many = await bare.eval(FILL, 100)
    await bare.apply(*ALL)
    await bare.eval("box.cfg({ read_only = true }) return true")

    failing = """
        require('tx').watch_writes()
        local original, failures = steps[3].backfill, 1
        steps[3].backfill = function(...)
            if failures > 0 then failures = failures - 1 error('not now') end
            return original(...)
        end
        require('backfill').start(steps)
        return true
    """
    await bare.with_steps(failing, *ALL)
    await asyncio.sleep(0.1)
    assert await bare.eval(PROGRESS) == [0, []]

    await bare.eval("box.cfg({ read_only = false }) return true")
    await backfilled(bare, many)


# The server's own migrations


def test_a_running_store_is_migrated_by_command_in_one_transaction_with_its_event(
    fresh_tarantool: PrivateTarantool, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = directory / "later"
    shutil.copytree(offline.LUA, later)
    shutil.copy(STEPS / "expand.lua", later / "migrations" / "9999_expand.lua")
    monkeypatch.setattr(migrations, "LUA", later)
    owner = operator.Owner.connect(fresh_tarantool.directory)
    by = By("alice@ops", "an upgrade")
    event = "local row = box.space.audit.index.primary:max() return row and row.detail or ''"

    assert migrations.migrate(owner, by=by, now=NOW, dry_run=True) == ["expand"]
    assert owner.eval(event) == ""
    assert migrations.migrate(owner, by=by, now=NOW, dry_run=False) == ["expand"]
    assert owner.eval(event) == '{"migration":"expand"}'
    assert migrations.migrate(owner, by=by, now=NOW, dry_run=False) == []
    owner.close()


async def test_while_a_migration_runs_another_operator_is_told_since_when(
    fresh_tarantool: PrivateTarantool, fresh_owner: Owner
) -> None:
    await fresh_owner.eval("""
        local fiber, migrator = require('fiber'), require('migrator')
        fiber.create(migrator.alone, function() fiber.sleep(2) end)
        return true
    """)
    owner = operator.Owner.connect(fresh_tarantool.directory)

    with pytest.raises(StoreBug, match=r"another migration runs, since 20\S+: wait") as told:
        migrations.migrate(owner, by=By("bob@ops"), now=NOW, dry_run=False)

    at = re.search(r"since (\S+):", str(told.value))
    assert at is not None
    assert abs(dt.datetime.fromisoformat(at[1]).timestamp() - time.time()) < 10
    await asyncio.sleep(2)
    assert migrations.migrate(owner, by=By("bob@ops"), now=NOW, dry_run=False) == []
    owner.close()


@dataclass(frozen=True)
class SavedStore:
    """What an earlier version left, started by this one."""

    process: PrivateTarantool
    rows: dict[str, list[dict[str, Any]]]


async def test_every_file_is_in_the_list(fresh_owner: Owner) -> None:
    listed = await fresh_owner.eval("""
        local names = {}
        for _, step in ipairs(require('migrations').steps) do table.insert(names, step.name) end
        return names
    """)
    files = sorted(path.stem for path in (offline.LUA / "migrations").glob("*.lua"))
    assert listed == files


async def test_an_edited_migration_keeps_the_server_from_starting(
    fresh_tarantool: PrivateTarantool, fresh_owner: Owner
) -> None:
    await fresh_owner.eval(
        "return box.space.schema_version:update(1, { { '=', 'checksum', 'other' } }) ~= nil"
    )
    fresh_tarantool.stop()

    with pytest.raises(StoreStartError, match="migration 0001_initial was edited after"):
        PrivateTarantool(fresh_tarantool.directory, MEMORY).start()


@pytest.fixture(params=sorted(SAVED.iterdir()), ids=lambda path: path.name)
def saved(request: pytest.FixtureRequest, directory: Path) -> Iterator[SavedStore]:
    for file in (*request.param.glob("*.snap"), *request.param.glob("*.xlog")):
        shutil.copy(file, directory)
    process = PrivateTarantool(directory, MEMORY)
    process.start()
    yield SavedStore(process, json.loads((request.param / "rows.json").read_text()))
    process.stop()


async def test_a_store_of_each_earlier_schema_is_brought_to_this_one(saved: SavedStore) -> None:
    owner = await Owner.connect(saved.process.directory)
    rows = json.loads(json.dumps(await owner.eval(EVERY_ROW), default=bytes.hex))
    await owner.close()

    for name, expected in saved.rows.items():
        assert len(rows[name]) >= len(expected), name
        for row, saved_row in zip(rows[name], expected, strict=False):
            assert row | saved_row == row, name
    assert all(row["checksum"] for row in rows["schema_version"])

    process = saved.process
    store = await Store.connect(process.socket_path, process.password, 5.0)
    await use_what_was_saved(store, saved.rows)
    await store.close()


async def use_what_was_saved(store: Store, rows: dict[str, list[dict[str, Any]]]) -> None:
    """A grant that outlives its session is rotated with the token after the one that rotated."""
    grant = next(row for row in rows["grant"] if row["offline"])
    session = next(row for row in rows["session"] if row["sid"] == grant["sid"])
    customer = next(row for row in rows["customer"] if row["sub"] == grant["sub"])
    family = next(row for row in rows["refresh"] if row["grant_id"] == grant["grant_id"])
    answer = await store.refresh_rotate(
        grant_id=grant["grant_id"],
        client_id=grant["client_id"],
        presented_hash=bytes.fromhex(family["current_hash"]),
        successor_hash=bytes(32),
        scope=None,
        attempt="after",
        lifetimes=LIFETIMES,
        now=NOW + 1,
    )
    assert isinstance(answer, o.Rotated)
    assert answer.sid == session["sid"]
    login = PhoneGrant()
    await login.start(store, new_challenge(f"+{customer['phone']}"))
    assert isinstance(await login.enter(store, RIGHT), o.Redeemed)


async def test_the_version_before_goes_on_while_and_after_a_migration_expands_its_schema(
    fresh_store: Store, fresh_owner: Owner
) -> None:
    known = await open_grant(fresh_store, offline=True)
    expanding = asyncio.create_task(
        fresh_owner.eval(
            """
                local directory = ...
                local migrator = require('migrator')
                local steps = table.copy(require('migrations').steps)
                table.insert(steps, dofile(directory .. '/expand.lua'))
                table.insert(steps, dofile(directory .. '/expand_index.lua'))
                migrator.read_texts(steps)
                return migrator.apply(steps)
            """,
            str(STEPS),
        )
    )
    during = await asyncio.gather(*(open_grant(fresh_store) for _ in range(20)))
    assert await expanding == ["expand", "expand_index"]

    after = await open_grant(fresh_store)
    for grant in (*during, after):
        assert isinstance(await grant.rotate(fresh_store, grant.token), o.Rotated)
    assert isinstance(await known.rotate(fresh_store, known.token), o.Rotated)
    again = PhoneGrant()
    await again.start(fresh_store, new_challenge(known.phone))
    assert isinstance(await again.enter(fresh_store, RIGHT), o.Redeemed)
    login = PhoneGrant()
    await login.start(fresh_store, new_challenge(new_phone()))
    assert isinstance(await login.enter(fresh_store, RIGHT), o.Redeemed)
    assert await fresh_store.sweep(limit=1000, now=NOW + 10**9) > 0
