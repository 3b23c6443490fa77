"""That the tests' Kannel delivers what it is given: of what we send it, others test the sending."""

import asyncio
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.idp.stranger import said, stranger
from tests.outbound.kannel import Kannel, run_kannel
from tests.process.processes import descendants

GSM_7 = "Shop: your code is 012345 {[~€]} é\n\n@id.example.com #012345"
CYRILLIC = "Лавка: 012345. Никому не говорите\n\n@id.example.com #012345"
phones = itertools.count(79990000000)


@pytest.fixture(scope="module")
def kannel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kannel]:
    with run_kannel(tmp_path_factory.mktemp("kannel")) as running:
        yield running


def send(kannel: Kannel, text: str, coding: int, **more: str) -> httpx2.Response:
    """Send a text to a number of its own."""
    message = {
        "username": kannel.username,
        "password": kannel.password,
        "from": "Shop",
        "to": f"+{next(phones)}",
        "text": text,
        "charset": "UTF-8",
        "coding": str(coding),
    }
    return httpx2.get(kannel.sendsms, params=message | more, trust_env=False)


@pytest.mark.parametrize(("text", "coding"), [(GSM_7, 0), (CYRILLIC, 2)], ids=["gsm-7", "ucs-2"])
def test_what_arrives_is_what_was_sent(kannel: Kannel, text: str, coding: int) -> None:
    before = len(kannel.received(0))
    assert send(kannel, text, coding).status_code == 202
    message = kannel.received(before + 1)[before]
    assert message.sender == "Shop"
    assert message.receiver.startswith("+7999")
    assert message.text == text


@pytest.mark.parametrize(
    ("text", "coding", "encoding"), [("a" * 161, 0, "ascii"), ("ж" * 71, 2, "utf-16-be")]
)
def test_a_long_text_arrives_in_parts(
    kannel: Kannel, text: str, coding: int, encoding: str
) -> None:
    before = len(kannel.received(0))
    assert send(kannel, text, coding).status_code == 202
    parts = kannel.received(before + 2)[before:]
    assert [part.header[4:] for part in parts] == [b"\2\1", b"\2\2"]
    assert b"".join(part.octets for part in parts).decode(encoding) == text


def test_a_wrong_password_is_refused(kannel: Kannel) -> None:
    before = len(kannel.received(0))
    assert send(kannel, GSM_7, 0, password="guess").status_code == 403
    assert len(kannel.received(before)) == before


async def test_the_fake_sms_centre_makes_delivery_reports(kannel: Kannel) -> None:
    async with stranger(said(b"")) as we:
        url = f"http://127.0.0.1:{we.port}/receipt?id=s1&type=%d"
        more = {"dlr-mask": "3", "dlr-url": url}
        answer = await asyncio.to_thread(send, kannel, GSM_7, 0, **more)
        assert answer.status_code == 202
        async with asyncio.timeout(20):
            while not we.requests:  # noqa: ASYNC110  another process is waited for
                await asyncio.sleep(0.05)
    assert we.requests[0].startswith("GET /receipt?id=s1&type=1 HTTP/1.1\r\n")


def test_no_process_is_left(tmp_path: Path) -> None:
    before = set(descendants(os.getpid()))
    with run_kannel(tmp_path):
        boxes = set(descendants(os.getpid())) - before
        assert len(boxes) >= 3
    assert not boxes & set(descendants(os.getpid()))
