"""`idp store migrate`, `backup` and `restore`, with and without a server."""

import json
from pathlib import Path

import pytest

from storage import migrations
from storage.child import holds_data
from tests.idp.conftest import Run
from tests.idp.installation import Installation

EDIT = "box.space.schema_version:update(1, { { '=', 'checksum', 'other' } })"


def test_a_store_of_this_version_has_nothing_to_migrate(here: Installation) -> None:
    told = (0, "the schema is of this version\n", "")
    assert here.run("store", "migrate", "--dry-run") == told
    assert here.run("store", "migrate", "--reason", "an upgrade") == told
    here.stop()
    assert here.run("store", "migrate", "--dry-run") == told
    assert here.run("store", "migrate") == told


def test_an_empty_place_is_migrated_by_command(directory: Path, run: Run) -> None:
    place = directory / "var"
    dry = run("store", "migrate", "--dry-run", "--json", "--directory", place)
    assert (dry[0], json.loads(dry[1])) == (0, {"pending": migrations.names()})
    assert not holds_data(place / "store")

    code, out, _ = run("store", "migrate", "--reason", "the first", "--directory", place)
    assert (code, out.splitlines()) == (0, [f"applied {name}" for name in migrations.names()])
    events = run("audit", "read", "--event", "store_migrated", "--json", "--directory", place)[1]
    assert [json.loads(line)["reason"] for line in events.splitlines()] == ["the first"] * len(
        migrations.names()
    )


@pytest.mark.parametrize("running", [True, False])
def test_an_edited_migration_is_told_in_a_sentence(here: Installation, *, running: bool) -> None:
    here.lua(EDIT)
    if not running:
        here.stop()

    for arguments in (("--dry-run",), ()):
        code, out, err = here.run("store", "migrate", *arguments)
        assert (code, out) == (1, "")
        assert err.startswith("idp: migration 0001_initial was edited after this store had")
        assert err.count("\n") == 1


@pytest.mark.parametrize("running", [True, False])
def test_what_was_backed_up_is_restored(here: Installation, run: Run, *, running: bool) -> None:
    keys = here.rows()
    if not running:
        here.stop()
    archive, other = here.directory / "archive", here.directory / "other"
    code, out, err = here.run("store", "backup", archive, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["schema_version"] == len(migrations.names())
    assert "complete until 20" in here.run("store", "backup", archive)[1]

    reason = "--reason", "a lost disk"
    assert run("store", "restore", archive, *reason, "--directory", other)[0] == 0
    events = run("audit", "read", "--event", "store_restored", "--json", "--directory", other)[1]
    assert json.loads(events)["reason"] == "a lost disk"

    here.stop()
    (here.directory / "var" / "store").rename(here.directory / "lost")
    code, out, err = here.run("store", "restore", archive, *reason)
    assert (code, err) == (0, "")
    assert out.startswith("restored 0")
    assert here.rows() == keys


def test_a_place_in_use_or_with_a_store_is_not_restored_into(here: Installation) -> None:
    archive = here.directory / "archive"
    here.run("store", "backup", archive)
    reason = "--reason", "a test"

    code, _, err = here.run("store", "restore", archive, *reason)
    assert (code, "is in use by process" in err) == (1, True)
    here.stop()
    code, _, err = here.run("store", "restore", archive, *reason)
    assert (code, "holds a store" in err) == (1, True)
    code, _, err = here.run("store", "restore", archive, *reason, "--until", "1s")
    assert (code, "nothing was restored" in err) == (1, True)


def test_a_restore_needs_a_reason(here: Installation) -> None:
    code, _, err = here.run("store", "restore", here.directory / "archive")
    assert (code, "--reason" in err) == (2, True)
