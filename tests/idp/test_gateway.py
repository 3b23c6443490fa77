"""The HTTP gateway's rule: what each answer, and each failure to answer, means."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Literal

import pytest

from conf.delivery import AnswerRules, MessageProvider
from conf.delivery import HttpGateway as HttpSettings
from flows.ports import (
    ProviderUnavailable,
    Submission,
    SubmissionRefused,
    SubmissionUncertain,
    Submitted,
)
from idp.outbound.circuit import Circuit
from idp.outbound.gateway import HttpGateway
from tests.http.gateways import Answer, Gateway, gateway

SUBMISSION = Submission("attempt-1", "sms", "+79161234567", "text 123456", "123456", 180)
RULES = AnswerRules(success="/ok", error="/error", id="/data/0/id")


@pytest.fixture(scope="module")
def provider() -> Iterator[Gateway]:
    with gateway() as running:
        yield running


def settings(provider: Gateway, rules: AnswerRules = RULES, **changed: object) -> MessageProvider:
    http = HttpSettings(
        f"{provider.origin}/send", "POST", json='{"to": "{phone}", "t": "{text}"}', answer=rules
    )
    made = MessageProvider("sms", "sms", timeout=1, http=http)
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.fixture
async def sender(provider: Gateway) -> AsyncIterator[HttpGateway]:
    made = HttpGateway(settings(provider), None)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, '{"ok": true, "data": [{"id": 17}]}', Submitted("17")),
        (202, '{"ok": "yes"}', Submitted()),
        (200, '{"ok": true, "error": "no money"}', SubmissionRefused),
        (200, '{"ok": false}', SubmissionUncertain),
        (200, "", SubmissionUncertain),
        (200, "\x00<html>", SubmissionUncertain),
        (200, "[" * 10_000, SubmissionUncertain),
        (200, '"' + "x" * 70_000 + '"', SubmissionUncertain),
        (302, "", SubmissionRefused),
        (400, '{"error": "no such number"}', SubmissionRefused),
        (429, "", ProviderUnavailable),
        (503, "", ProviderUnavailable),
        (500, "", SubmissionUncertain),
        (504, "", SubmissionUncertain),
    ],
)
async def test_an_answer_means_one_thing(
    provider: Gateway,
    sender: HttpGateway,
    status: int,
    body: str,
    expected: Submitted | type[Exception],
) -> None:
    provider.behaviour["/send"] = lambda _: Answer(status, body)
    if isinstance(expected, Submitted):
        assert await sender.submit(SUBMISSION) == expected
        return
    with pytest.raises(expected) as caught:
        await sender.submit(SUBMISSION)
    assert type(caught.value) is expected


@pytest.mark.parametrize("answer", [Answer(seconds=2), Answer(0)])
async def test_no_answer_may_mean_that_it_was_taken(
    provider: Gateway, sender: HttpGateway, answer: Answer
) -> None:
    provider.behaviour["/send"] = lambda _: answer
    async with asyncio.timeout(1.9):
        with pytest.raises(SubmissionUncertain):
            await sender.submit(SUBMISSION)


async def test_a_header_of_the_settings_takes_the_place_of_ours(provider: Gateway) -> None:
    http = HttpSettings(
        f"{provider.origin}/ours?a=1",
        "GET",
        headers={"user-agent": "shop", "X-Id": "{submission_id}"},
        query={"to": "{digits}", "text": "{text} &+я"},
    )
    sender = HttpGateway(replace(settings(provider), http=http), None)
    await sender.submit(SUBMISSION)
    await sender.close()
    asked = provider.asked[-1]
    assert asked.fields == {"a": "1", "to": "79161234567", "text": "text 123456 &+я"}
    assert asked.headers == {
        "Host": provider.origin.removeprefix("http://"),
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "user-agent": "shop",
        "X-Id": "attempt-1",
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_nothing_is_asked_twice_where_a_connection_is_lost(
    provider: Gateway, method: Literal["GET", "POST", "PUT"]
) -> None:
    path = f"/lost/{method}"
    http = HttpSettings(f"{provider.origin}{path}", method, query={"to": "{phone}"})
    sender = HttpGateway(replace(settings(provider), http=http), None)
    provider.behaviour[path] = lambda _: Answer()
    await sender.submit(SUBMISSION)
    provider.behaviour[path] = lambda _: Answer(0)
    with pytest.raises(SubmissionUncertain):
        await sender.submit(SUBMISSION)
    await sender.close()
    assert [it.path for it in provider.asked].count(path) == 2


async def test_what_nobody_asked_for_answers_no_message() -> None:
    async def answer_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.05)
        # RFC 9110 15.5.9: what a server says of a connection on which nothing comes.
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer_twice, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        http = HttpSettings(f"http://127.0.0.1:{port}/", "GET", query={"to": "{phone}"})
        sender = HttpGateway(MessageProvider("sms", "sms", timeout=1, http=http), None)
        for _ in range(2):
            assert await sender.submit(SUBMISSION) == Submitted()
            await asyncio.sleep(0.1)
        await sender.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_who_cannot_be_reached_has_taken_nothing(
    provider: Gateway, method: Literal["GET", "POST"]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    http = HttpSettings(f"http://127.0.0.1:{port}/", method, query={"to": "{phone}"})
    sender = HttpGateway(replace(settings(provider), http=http), None)
    with pytest.raises(ProviderUnavailable):
        await sender.submit(SUBMISSION)
    await sender.close()


async def test_whose_name_cannot_be_looked_up_has_taken_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def silent(*_: object, **__: object) -> None:
        await asyncio.sleep(10)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", silent)
    http = HttpSettings("http://sms.example.com/", "POST", query={"to": "{phone}"})
    sender = HttpGateway(MessageProvider("sms", "sms", timeout=1, http=http), None)
    with pytest.raises(ProviderUnavailable):
        await sender.submit(SUBMISSION)
    await sender.close()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"code": "4821"}', "4821"),
        ('{"code": 74951234821}', "4821"),
        ('{"code": "+7 495 123-48-21"}', "4821"),
        ('{"code": "21"}', None),
        ("{}", None),
    ],
)
async def test_a_flash_call_has_taken_it_with_its_code_alone(
    provider: Gateway, body: str, code: str | None
) -> None:
    provider.behaviour["/send"] = lambda _: Answer(200, body)
    rules = AnswerRules(code="/code")
    sender = HttpGateway(settings(provider, rules, kind="flash_call"), None)
    if code is not None:
        assert (await sender.submit(SUBMISSION)).code == code
    else:
        with pytest.raises(SubmissionUncertain):
            await sender.submit(SUBMISSION)
    await sender.close()


async def test_a_complaint_reaches_the_log_without_phones_and_codes(
    provider: Gateway, sender: HttpGateway
) -> None:
    error = "79161234567 blocked (123456)\\r\\n" + "x" * 500
    provider.behaviour["/send"] = lambda _: Answer(400, f'{{"error": "{error}"}}')
    with pytest.raises(SubmissionRefused) as caught:
        await sender.submit(SUBMISSION)
    assert str(caught.value).startswith("status 400: ... blocked (...)xxx")
    assert len(str(caught.value)) < 100


def is_open(circuit: Circuit, failures: int = 0) -> bool:
    """Whether it is open after some more failures."""
    for _ in range(failures):
        circuit.passing()
        circuit.failed()
    return circuit.is_open


def test_a_circuit_opens_after_five_failures_in_a_row() -> None:
    circuit = Circuit()
    assert not is_open(circuit, failures=4)
    circuit.succeeded()
    assert not is_open(circuit, failures=4)
    assert is_open(circuit, failures=1)


@pytest.mark.parametrize("succeeds", [True, False])
def test_after_a_while_one_probe_decides(*, succeeds: bool) -> None:
    now = 0.0
    circuit = Circuit(lambda: now)
    assert is_open(circuit, failures=5)
    now = 31.0
    assert not is_open(circuit)
    circuit.passing()
    assert is_open(circuit)  # for all others
    if succeeds:
        circuit.succeeded()
    else:
        circuit.failed()
    assert is_open(circuit) is not succeeds
