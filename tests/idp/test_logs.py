import asyncio
import datetime as dt
import enum
import io
import json
import logging
import re
import select
import sys
from collections.abc import Iterator

import pytest
import structlog

from idp import logs


class Number(enum.IntEnum):
    PHONE = 79991234567
    SMALL = 404


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("+79991234567", "+79*******67"),
        ("to +79991234567.", "to +79*******67."),
        ("+7 (999) 123-45-67", "+79*******67"),
        ("/otp?phone=%2B79991234567&x=1", "/otp?phone=+79*******67&x=1"),
        ("tel:79991234567", "tel:79*******67"),
        ("9991234567", "99******67"),
        (79991234567, "79*******67"),
        (Number.PHONE, "79*******67"),
        (Number.SMALL, Number.SMALL),
        ({"phones": ["+79991234567"]}, {"phones": ["+79*******67"]}),
        (("+79991234567", 1), ["+79*******67", 1]),
        (ValueError("+79991234567"), "ValueError('+79*******67')"),
        # What is no phone number stays.
        (1764000000, 1764000000),
        ("0.12345678901", "0.12345678901"),
        ("00000000000000000142.snap", "00000000000000000142.snap"),
        ("2026-11-22T18:04:00.570400Z", "2026-11-22T18:04:00.570400Z"),
        (None, None),
        (True, True),
    ],
)
def test_of_a_phone_number_the_first_and_last_two_digits_remain(
    written: object, kept: object
) -> None:
    assert logs.mask_phones(None, "info", {"event": written}) == {"event": kept}


def test_what_is_ours_stays_as_it_is() -> None:
    line = {"reference": "123456789012", "address": "79991234567", "detail": "+79991234567"}
    assert logs.mask_phones(None, "info", dict(line)) == line | {
        "address": "79*******67",
        "detail": "+79*******67",
    }


def test_production_writes_json_lines_in_one_format(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    structlog.get_logger("idp").info("code_sent", phone="+79991234567")
    logging.getLogger("uvicorn.error").warning("from %s", "+79991234567")
    ours, theirs = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (ours["event"], ours["level"], ours["phone"]) == ("code_sent", "info", "+79*******67")
    assert (theirs["event"], theirs["level"]) == ("from +79*******67", "warning")
    assert ours.keys() >= {"timestamp"} <= theirs.keys()


def test_phones_are_masked_in_tracebacks_too(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("+79991234567")

    for log_format in ("json", "console"):
        logs.configure(log_format)
        try:
            fail()
        except ValueError:
            structlog.get_logger().exception("failed")
            logging.getLogger("uvicorn.error").exception("failed")
        written = capsys.readouterr().out
        assert written.count("ValueError: +79*******67") == 2
        assert "1234567" not in written


def test_a_line_never_fails_on_what_it_contains(capsys: pytest.CaptureFixture[str]) -> None:
    for log_format in ("json", "console"):
        logs.configure(log_format)
        structlog.get_logger().info("odd", value="\udc80", thing=object(), keys={None: 1})
        assert "odd" in capsys.readouterr().out


def test_an_odd_line_has_the_timestamp_of_every_other(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    structlog.get_logger().info("odd", value="\udc80", keys={None: 1})
    told = json.loads(capsys.readouterr().out)
    assert (told["value"], told["keys"]) == ("\udc80", {"null": 1})
    assert re.fullmatch(r"[\d-]{10}T[\d:.]{8,15}Z", told["timestamp"])


def test_libraries_do_not_tell_every_request(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json")
    logging.getLogger("httpx").info("GET https://example.com/?secret=1")
    assert capsys.readouterr().out == ""


class Writes(io.StringIO):
    """What was written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[str] = []

    def write(self, text: str) -> int:
        self.each.append(text)
        return len(text)


def events_of(writes: Writes) -> list[str]:
    return [json.loads(line)["event"] for line in "".join(writes.each).splitlines()]


async def test_lines_of_a_moment_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure("json")
    writes = Writes()
    monkeypatch.setattr(sys, "stdout", writes)
    lines = logs.GatheredLines()
    lines.add({"event": "one", "address": "+79991234567"})
    lines.add({"event": "two"})
    assert writes.each == []
    await asyncio.sleep(0.1)
    assert (len(writes.each), events_of(writes)) == (1, ["one", "two"])
    one, two = (json.loads(line) for line in writes.each[0].splitlines())
    assert (one["level"], one["address"]) == ("info", "+79*******67")
    # A line tells when it happened, not when it was written.
    assert one["timestamp"] < two["timestamp"] < dt.datetime.now(dt.UTC).isoformat()
    lines.add({"event": "three"})
    lines.write()
    await asyncio.sleep(0.1)
    assert (len(writes.each), events_of(writes)) == (2, ["one", "two", "three"])


async def test_a_line_that_cannot_be_written_takes_no_other_along(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("+79991234567")

    logs.configure("json")
    lines = logs.GatheredLines()
    lines.add({"event": "one"})
    lines.add({"event": "two", "reference": "f00", "thing": Odd()})
    lines.add({"event": "three"})
    lines.write()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    lost, *kept = told
    assert [it["event"] for it in kept] == ["one", "three"]
    assert (lost["event"], lost["reference"], lost["level"]) == ("line_lost", "f00", "error")
    assert "RuntimeError: +79*******67" in lost["exception"]


async def test_gathered_lines_of_the_console_can_be_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("console")
    lines = logs.GatheredLines()
    lines.add({"event": "request", "address": "+79991234567"})
    lines.write()
    (line,) = capsys.readouterr().out.splitlines()
    assert re.match(r"[\d-]{10}T[\d:.]{8,15}Z .*info.*request.*address=\+79\*{7}67", line)


async def test_no_write_is_torn_by_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure("json")
    writes = Writes()
    monkeypatch.setattr(sys, "stdout", writes)
    lines = logs.GatheredLines()
    each = [f"{number} {'я' * 300}" for number in range(40)] + ["x" * 2 * select.PIPE_BUF, "last"]
    for event in each:
        lines.add({"event": event})
    lines.write()
    assert events_of(writes) == each
    assert all(it.endswith("\n") for it in writes.each)
    assert [len(it.encode()) <= select.PIPE_BUF for it in writes.each].count(False) == 1
    assert len(writes.each) < len(each) / 3
