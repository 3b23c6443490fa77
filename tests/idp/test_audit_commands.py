"""`idp audit`, on the store of a running server."""

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from idp.commands import audit as commands
from idp.commands import audit_lines
from idp.commands.times import time_of
from storage.child import PrivateTarantool
from storage.records import AuditEvent
from tests.idp.conftest import Run
from tests.storage.builders import NOW, Owner
from tests.storage.test_audit import record, record_many

Audit = Callable[..., tuple[int, str, str]]


class Trail:
    """The store of an installation, into which its owner writes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "var"
        self.tarantool = PrivateTarantool(self.directory / "store", 2**26)

    def do(self, work: Callable[[Owner], Awaitable[Any]]) -> None:
        async def connected() -> None:
            owner = await Owner.connect(self.tarantool.directory)
            await work(owner)
            await owner.close()

        asyncio.run(connected())

    def lua(self, code: str) -> None:
        self.do(lambda owner: owner.eval(code + " return true"))


@pytest.fixture
def trail(directory: Path) -> Iterator[Trail]:
    """Nine rows, a second apart."""
    made = Trail(directory)
    made.tarantool.start()
    made.do(lambda owner: record_many(owner, 9))
    yield made
    made.tarantool.stop()


@pytest.fixture
def audit(run: Run, trail: Trail) -> Audit:
    def audit(command: str, *arguments: object) -> tuple[int, str, str]:
        return run("audit", command, *arguments, "--directory", trail.directory)

    return audit


def seqs(out: str) -> list[int]:
    return [json.loads(line)["seq"] for line in out.splitlines()]


# read


def test_the_newest_events_are_read(audit: Audit) -> None:
    code, out, err = audit("read", "--limit", 2, "--json")

    assert (code, err) == (0, "")
    assert seqs(out) == [8, 9]
    row = json.loads(out.splitlines()[0])
    assert len(row.pop("hash")) == 64
    assert row == {"seq": 8, "at": NOW + 8, "event": "tested", "sub": "sub-2"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--after", 6], [7, 8, 9, 10]),
        (["--after", 6, "--limit", 2], [7, 8]),
        (["--sub", "sub-1"], [1, 4, 7]),
        (["--sub", "sub-1", "--limit", 1], [7]),
        (["--event", "signed_in"], []),
        (["--by", "ann@ops"], [10]),
        (["--client", "app", "--event", "changed"], [10]),
        (["--since", "2027-01-15T08:00:08Z", "--event", "tested"], [8, 9]),
        (["--until", "2027-01-15T10:00:02+02:00"], [1, 2]),
    ],
)
def test_events_are_chosen(
    audit: Audit, trail: Trail, arguments: list[object], expected: list[int]
) -> None:
    fields: dict[str, Any] = {
        "by": "ann@ops",
        "client_id": "app",
        "reason": "a test",
        "detail": {"n": [1]},
    }
    trail.do(lambda owner: record(owner, "changed", NOW + 900, **fields))

    assert seqs(audit("read", *arguments, "--json")[1]) == expected


def test_an_event_is_a_line(audit: Audit, trail: Trail) -> None:
    fields: dict[str, Any] = {
        "by": "ann@ops",
        "reason": "lost phone",
        "sub": "s",
        "detail": {"amr": "otp sms"},
    }
    trail.do(lambda owner: record(owner, "blocked", **fields))

    assert audit("read", "--after", 9)[1] == (
        '2027-01-15T08:00:00Z #10 blocked by=ann@ops reason="lost phone" sub=s {"amr":"otp sms"}\n'
    )


@pytest.mark.parametrize("reason", ["x by=root", 'x" y', "\x1b[2J", "a\nb", "\u202e", "{}", ""])
def test_what_an_event_holds_is_no_more_than_a_value_to_the_terminal(reason: str) -> None:
    event = AuditEvent(seq=1, at=0, event="e", reason=reason, detail=f"{{{reason}}}", hash="")

    text = audit_lines.as_text(event)

    assert text.isprintable()
    quoted = text.removeprefix("1970-01-01T00:00:00Z #1 e reason=")
    assert json.JSONDecoder().raw_decode(quoted)[0] == reason


@pytest.mark.parametrize("text", ["yesterday", "2h30m", "2026-13-01", "", "99999999999d0"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"--since .*: must be a time such as"):
        time_of("--since", text, NOW)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2027-01-15", NOW - 8 * 3600),
        ("2027-01-15T08:00", NOW),
        ("2027-01-15 11:00+03:00", NOW),
        ("45s", NOW - 45),
        ("90m", NOW - 5400),
        ("2h", NOW - 7200),
        ("7d", NOW - 7 * 86400),
    ],
)
def test_a_time_is_a_moment_or_an_age(text: str, at: int) -> None:
    assert time_of("--since", text, NOW) == at


# verify


def test_a_trail_that_is_intact_has_a_head_to_note(audit: Audit) -> None:
    code, out, err = audit("verify", "--json")

    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert (answer["intact"], answer["rows"]) == (True, 9)
    assert audit("verify", "--expect", answer["head"]) == (
        0,
        f"intact: 9 rows\nhead: {answer['head']}\n",
        "",
    )


def test_a_trail_that_is_not_intact_is_a_failure(audit: Audit, trail: Trail) -> None:
    trail.lua("box.space.audit:update(5, { { '=', 'sub', 'other' } })")
    fault = "row 5 does not fit: it was changed, inserted or moved, or row 4 was"

    assert audit("verify") == (1, f"not intact: {fault}\n", "")
    code, out, _ = audit("verify", "--json")
    assert (code, json.loads(out)) == (1, {"intact": False, "fault": fault})


def test_a_head_that_was_noted_is_missed(audit: Audit, trail: Trail) -> None:
    head = json.loads(audit("verify", "--json")[1])["head"]
    trail.lua("box.space.audit:delete(9)")

    assert audit("verify")[0] == 0
    code, out, _ = audit("verify", "--expect", head)
    assert code == 1
    assert out.startswith("not intact: row 9 is missing")


def test_what_is_expected_must_be_a_head(audit: Audit) -> None:
    code, _, err = audit("verify", "--expect", "9:abc")
    assert code == 2
    assert "must be SEQ:HASH, as verify prints it" in err


def test_long_work_tells_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    report = commands._reporter()

    for rows in (*range(0, 250_001, 500), *range(500, 100_001, 500)):
        report(rows)

    assert capsys.readouterr() == (
        "",
        "idp: 100000 rows\nidp: 200000 rows\nidp: 100000 rows\n",
    )


# archive


def test_an_archive_and_the_store_are_verified_as_one(
    audit: Audit, run: Run, directory: Path
) -> None:
    head = json.loads(audit("verify", "--json")[1])["head"]
    file = directory / "audit.jsonl"

    code, out, err = audit("archive", file, "--before", "2027-01-15T08:00:05Z", "--json")
    assert (code, err) == (0, "")
    archived = json.loads(out)
    assert archived["rows"] == 4

    assert run("audit", "verify", "--file", file)[0] == 0
    code, out, _ = audit("verify", "--file", file, "--expect", archived["head"], "--expect", head)
    assert code == 0
    assert out.startswith("intact: 10 rows\nhead: 10:")
    code, out, _ = audit("verify", "--expect", archived["head"].replace("4:", "3:", 1))
    assert code == 1
    assert "name the files that it was archived in" in out
    (event,) = audit("read", "--event", "audit_archived", "--json")[1].splitlines()
    assert json.loads(event)["reason"] == "retention"
    assert json.loads(event)["by"].count("@") == 1


def test_an_archive_of_another_installation_does_not_pass_for_this_one(
    audit: Audit, trail: Trail, directory: Path
) -> None:
    file = directory / "audit.jsonl"
    audit("archive", file, "--before", "2027-01-15T08:00:05Z")
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")

    code, out, _ = audit("verify", "--file", file)

    assert code == 1
    assert out.startswith("not intact: row 3 is not here to be compared")


def test_days_are_kept(audit: Audit, trail: Trail, directory: Path) -> None:
    trail.lua("box.space.audit:truncate()")
    now = int(time.time())
    for age in (3, 2, 1):
        trail.do(functools.partial(record, at=now - age * 86_400 + 600))

    code, out, _ = audit("archive", directory / "audit.jsonl", "--keep-days", 2)

    assert code == 0
    assert out.startswith("archived: 1 rows\nhead: 1:")
    assert seqs(audit("read", "--json")[1]) == [2, 3, 4]


@pytest.mark.parametrize("arguments", [[], ["--before", "2026-11-01", "--keep-days", "1"]])
def test_what_is_archived_is_said_in_one_way(
    audit: Audit, directory: Path, arguments: list[str]
) -> None:
    code, _, err = audit("archive", directory / "audit.jsonl", *arguments)
    assert code == 2
    assert "give either --before or --keep-days" in err


def test_an_archive_that_cannot_be_written_is_told_in_a_sentence(
    audit: Audit, directory: Path
) -> None:
    file = directory / "none" / "audit.jsonl"

    code, out, err = audit("archive", file, "--keep-days", 0)

    assert (code, out) == (1, "")
    assert err.startswith(f"idp: {file} cannot be opened: No such file or directory; nothing was")


# follow


@pytest.fixture
def following(trail: Trail) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "idp", "audit", "follow", "--json", "--after", "8"]
    with subprocess.Popen(
        [*command, "--directory", trail.directory],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def next_seq(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(json.loads(process.stdout.readline())["seq"])


def test_events_are_followed_as_they_come_until_ctrl_c(
    trail: Trail, following: subprocess.Popen[str]
) -> None:
    assert next_seq(following) == 9
    for seq in (10, 11):
        trail.do(record)
        assert next_seq(following) == seq

    following.send_signal(signal.SIGINT)

    assert following.communicate() == ("", "")
    assert following.returncode == 0


def test_following_outlives_a_restart_and_misses_nothing(
    trail: Trail, following: subprocess.Popen[str]
) -> None:
    assert next_seq(following) == 9
    assert trail.tarantool.pid is not None
    os.kill(trail.tarantool.pid, signal.SIGKILL)
    os.waitid(os.P_PID, trail.tarantool.pid, os.WEXITED | os.WNOWAIT)
    assert following.stderr is not None
    assert "waiting for it" in following.stderr.readline()

    trail.tarantool.restart_if_dead()
    trail.do(record)

    assert next_seq(following) == 10


def test_there_is_nothing_to_follow_where_no_server_runs(run: Run, directory: Path) -> None:
    complaint = "idp: no server is running here, so there is nothing to follow\n"

    assert run("audit", "follow", "--directory", directory / "var") == (1, "", complaint)
    assert not (directory / "var").exists()
