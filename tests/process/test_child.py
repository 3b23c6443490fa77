import contextlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.child import PrivateTarantool, StoreInUseError, holds_data
from storage.errors import StoreStartError
from tests.process.processes import ended, eventually

MEMORY = 64 * 1024 * 1024


@pytest.fixture
def child(directory: Path) -> Iterator[PrivateTarantool]:
    child = PrivateTarantool(directory / "store", MEMORY)
    yield child
    child.stop()


def test_start_returns_when_the_socket_answers_and_stop_ends_the_process(
    child: PrivateTarantool,
) -> None:
    child.start()
    pid = child.pid
    assert pid is not None
    assert child.alive()
    assert child.socket_path.is_socket()
    assert holds_data(child.directory)
    child.stop()
    assert ended(pid)
    assert not child.alive()


def test_everything_in_the_directory_is_the_owners_alone(child: PrivateTarantool) -> None:
    child.start()
    for path in (child.directory, *child.directory.iterdir()):
        if not path.is_socket():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_passwords_stay_what_they_are(child: PrivateTarantool, directory: Path) -> None:
    child.start()
    files = [child.directory / "password", child.directory / "owner.password"]
    before = [file.read_text() for file in files]
    assert child.password == before[0] != before[1]
    child.stop()
    again = PrivateTarantool(directory / "store", MEMORY)
    again.start()
    again.stop()
    assert [file.read_text() for file in files] == before


def test_tarantool_does_not_see_the_servers_environment(
    child: PrivateTarantool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHANNEL_SECRET", "hidden")
    child.start()
    assert b"CHANNEL_SECRET" not in Path(f"/proc/{child.pid}/environ").read_bytes()


def test_a_second_start_is_told_who_holds_the_directory(child: PrivateTarantool) -> None:
    child.start()
    second = PrivateTarantool(child.directory, MEMORY)
    with pytest.raises(StoreInUseError, match=rf"in use by process {os.getpid()} \(.+\) since 20"):
        second.start()
    assert child.alive()
    child.stop()
    third = PrivateTarantool(child.directory, MEMORY)
    third.start()
    third.stop()


def test_a_dead_process_is_started_again(child: PrivateTarantool) -> None:
    child.start()
    assert not child.restart_if_dead()
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not child.alive(), "Tarantool was killed")
    assert child.restart_if_dead()
    assert child.pid != first


def test_a_process_that_ignores_sigterm_is_killed(
    child: PrivateTarantool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.child._STOP_SECONDS", 0.1)
    child.start()
    pid = child.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    child.stop()
    assert ended(pid)


def test_tarantool_ends_when_its_parent_is_killed_and_the_next_one_waits_for_that(
    child: PrivateTarantool,
) -> None:
    script = (
        "import sys, time; from pathlib import Path; from storage.child import PrivateTarantool\n"
        f"child = PrivateTarantool(Path(sys.argv[1]), {MEMORY}); child.start()\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, child.directory], stdout=subprocess.PIPE, text=True
    )
    orphan = 0
    try:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        assert not ended(orphan)
        parent.kill()
        parent.wait()
        # The parent gave its lock up at once; its Tarantool takes up to half a second to notice.
        child.start()
        assert ended(orphan)
    finally:
        parent.kill()
        parent.communicate()
        if orphan:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)


def test_a_file_in_the_directorys_place_is_told(directory: Path) -> None:
    (directory / "store").touch()
    for path in (directory / "store", directory / "store" / "below"):
        with pytest.raises(StoreStartError, match="there is a file in its place"):
            PrivateTarantool(path, MEMORY).start()


def test_a_directory_that_cannot_be_made_is_told() -> None:
    with pytest.raises(StoreStartError, match=r"^the state directory /proc/idp cannot be used: "):
        PrivateTarantool(Path("/proc/idp"), MEMORY).start()


def test_a_path_too_long_for_a_socket_is_told(directory: Path) -> None:
    with pytest.raises(StoreStartError, match="choose a shorter state directory"):
        PrivateTarantool(directory / ("x" * 100), MEMORY).start()
    assert not (directory / ("x" * 100)).exists()


def test_a_missing_tarantool_is_told(
    child: PrivateTarantool, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    monkeypatch.setenv("PATH", str(directory))
    with pytest.raises(StoreStartError, match="apt-get install tarantool"):
        child.start()


def test_a_corrupt_snapshot_is_told_with_tarantools_own_words(child: PrivateTarantool) -> None:
    child.start()
    child.stop()
    snapshot = next(child.directory.glob("*.snap"))
    with snapshot.open("r+b") as file:
        file.seek(300)
        file.write(b"\0" * 100)
    again = PrivateTarantool(child.directory, MEMORY)
    with pytest.raises(StoreStartError) as raised:
        again.start()
    assert str(raised.value) == (
        "Tarantool could not start: can't initialize storage: tx checksum mismatch "
        f"(log: {child.log_path})"
    )
    # The directory is free again, so that somebody can mend it and start.
    again = PrivateTarantool(child.directory, MEMORY)
    again.lock()
    again.stop()
