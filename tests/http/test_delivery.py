"""Delivery: codes reach gateways that behave well and badly, and go on to the next step."""

import hashlib
import hmac
import itertools
import json
import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.http.gateways import Answer, Asked, Gateway, gateway
from tests.http.provider import (
    PHONE_OTP,
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    provider,
)
from tests.process.processes import eventually

# A number's beginning says by which cascade its code comes.
GOOD, REFUSED_FIRST, RUBBISH_FIRST, HANGS_FIRST = "+7901", "+7902", "+7903", "+7904"
ONCE_MORE, NOBODY, CALLED, RECEIPTS = "+7905", "+7906", "+7908", "+7909"
PERHAPS = "+7911"
BATCHES = "+7912"
DEAD_FIRST = "+7910"

_DELIVERY = """
[otp]
sends_per_address = {{ burst = 1_000_000, period_seconds = 3600 }}
sends_per_client = {{ burst = 1_000_000, period_seconds = 3600 }}
[[delivery.providers]]
id = "good"
kind = "sms"
url = "{origin}/good"
secrets = {{ token = "S3CRET" }}
headers = {{ Authorization = "Bearer {{token}}", Idempotency-Key = "{{submission_id}}" }}
json = {{ to = "{{phone}}", text = "{{text}}", from = "{{sender}}", ttl = "{{valid_for}}" }}
answer = {{ id = "/id", error = "/error" }}
[delivery.providers.receipts]
header = "X-Token"
secret = "R3CEIPT"
id = "/id"
status = "/status"
delivered = ["DELIVRD"]
failed = ["UNDELIV"]
[[delivery.providers]]
id = "many"
kind = "sms"
url = "{origin}/many"
form = {{ to = "{{digits}}", text = "{{text}}" }}
answer = {{ id = "/id" }}
[delivery.providers.receipts]
header = "X-Token"
secret = "R3CEIPT"
each = "/messages"
id = "/id"
status = "/status"
delivered = ["ok"]
failed = ["lost"]
[[delivery.providers]]
id = "second"
kind = "sms"
url = "{origin}/second"
query = {{ to = "{{digits}}", text = "{{text}}" }}
answer = {{ id = "^id=(.*)$" }}
[delivery.providers.receipts]
hmac_header = "X-Signature"
secret = "H4SH"
id = "id=([^&]*)"
status = "status=([^&]*)"
delivered = ["ok"]
[[delivery.providers]]
id = "refuses"
kind = "messenger"
url = "{origin}/refuses"
form = {{ to = "{{digits}}", text = "{{text}}" }}
[[delivery.providers]]
id = "rubbish"
kind = "messenger"
url = "{origin}/rubbish"
form = {{ to = "{{digits}}", text = "{{text}}" }}
answer = {{ success = "/ok" }}
[delivery.providers.receipts]
parameter = "token"
secret = "QU3RY"
id = "/id"
status = "/status"
delivered = ["1"]
[[delivery.providers]]
id = "hangs"
kind = "messenger"
timeout_seconds = 1
url = "{origin}/hangs"
form = {{ to = "{{digits}}", text = "{{text}}" }}
[[delivery.providers]]
id = "forgets"
kind = "messenger"
idempotent = true
url = "{origin}/forgets"
form = {{ to = "{{digits}}", text = "{{text}}", key = "{{submission_id}}" }}
[[delivery.providers]]
id = "perhaps"
kind = "messenger"
idempotent = true
url = "{origin}/perhaps"
form = {{ to = "{{digits}}", key = "{{submission_id}}", text = "{{text}}" }}
[[delivery.providers]]
id = "calls"
kind = "flash_call"
url = "{origin}/calls"
form = {{ to = "{{digits}}" }}
answer = {{ id = "/call", code = "/from" }}
[[delivery.providers]]
id = "dead"
kind = "voice"
url = "http://127.0.0.1:9/"
query = {{ to = "{{digits}}", text = "{{text}}" }}
[[delivery.routes]]
prefix = "+7910"
steps = [
  {{ kind = "voice", providers = ["dead"] }},
  {{ kind = "sms", providers = ["good"] }}
]
[[delivery.routes]]
prefix = "+7901"
steps = [{{ kind = "sms", providers = ["good"] }}]
[[delivery.routes]]
prefix = "+7902"
steps = [
  {{ kind = "messenger", providers = ["refuses"] }},
  {{ kind = "sms", providers = ["good"] }}
]
[[delivery.routes]]
prefix = "+7903"
steps = [
  {{ kind = "messenger", providers = ["rubbish"], receipt_seconds = 1 }},
  {{ kind = "sms", providers = ["good"] }}
]
[[delivery.routes]]
prefix = "+7904"
steps = [
  {{ kind = "messenger", providers = ["hangs"], receipt_seconds = 2 }},
  {{ kind = "sms", providers = ["good"] }}
]
[[delivery.routes]]
prefix = "+7905"
steps = [{{ kind = "messenger", providers = ["forgets"] }}]
[[delivery.routes]]
prefix = "+7906"
steps = [{{ kind = "messenger", providers = ["refuses"] }}]
[[delivery.routes]]
prefix = "+7911"
steps = [{{ kind = "messenger", providers = ["perhaps"] }}]
[[delivery.routes]]
prefix = "+7908"
steps = [
  {{ kind = "flash_call", providers = ["calls"], receipt_seconds = 30 }},
  {{ kind = "sms", providers = ["good"] }}
]
[[delivery.routes]]
prefix = "+7912"
steps = [
  {{ kind = "sms", providers = ["many"], receipt_seconds = 5 }},
  {{ kind = "sms", providers = ["good"] }}
]
[[delivery.routes]]
prefix = "+7909"
steps = [
  {{ kind = "sms", providers = ["good"], receipt_seconds = 3 }},
  {{ kind = "sms", providers = ["second"] }}
]
"""

_numbers = itertools.count(1_000_000 + os.getpid() % 1000 * 1000)


def number(cascade: str) -> str:
    """A phone of that cascade that no test has used."""
    return f"{cascade}{next(_numbers)}"


@pytest.fixture(scope="module")
def sms() -> Iterator[Gateway]:
    with gateway() as running:
        ids = itertools.count(1)
        running.behaviour |= {
            "/good": lambda _: Answer(202, json.dumps({"id": next(ids)})),
            "/second": lambda _: Answer(200, f"id={next(ids)}"),
            "/refuses": lambda _: Answer(400, "no such chat"),
            "/rubbish": lambda _: Answer(200, "<html>\x00{"),
            "/hangs": lambda _: Answer(seconds=3),
            "/forgets": forgetting(running),
            "/calls": lambda _: Answer(200, json.dumps({"call": "c1", "from": "+74951234821"})),
        }
        yield running


def forgetting(running: Gateway) -> Callable[[Asked], Answer]:
    def answer(asked: Asked) -> Answer:
        again = len(running.about(asked.fields["to"])) > 1
        return Answer(200) if again else Answer(0)

    return answer


@pytest.fixture(scope="module")
def running(sms: Gateway) -> Iterator[Running]:
    with provider(workers=2, toml=_DELIVERY.format(origin=sms.origin)) as it:
        yield it
        assert not re.search("internal_error|store_bug|Traceback", it.server.output)
        assert not re.search(r"S3CRET|R3CEIPT|H4SH|QU3RY|\+?7\d{10}|#\d{6}", it.server.output)


@pytest.fixture
def bot(running: Running) -> RelyingParty:
    return RelyingParty(running, "demo-bot")


@pytest.fixture
def page(running: Running, open_browser: OpenBrowser) -> Browser:
    opened = open_browser(running)
    opened.authorize(RelyingParty(running), ui_locales="en")
    return opened


def ask(bot: RelyingParty, phone: str) -> dict[str, str]:
    response = bot.post("/otp", phone=phone)
    assert response.status_code == 200, response.text
    answer: dict[str, str] = response.json()
    return answer


def code_in(asked: Asked) -> str:
    found = re.search(r"\b\d{6}\b", str(asked.fields["text"]))
    assert found is not None
    return found[0]


def receipt(running: Running, provider_id: str, status: str) -> httpx2.Response:
    with running.client() as client:
        return client.post(
            "/messages/good/receipt",
            headers={"X-Token": "R3CEIPT"},
            json={"id": provider_id, "status": status},
        )


# The gateway is asked as the settings say


def test_the_gateway_gets_what_its_template_says(bot: RelyingParty, sms: Gateway) -> None:
    ask(bot, phone := number(GOOD))
    asked = sms.hears(phone)
    assert asked.fields["to"] == phone
    assert asked.fields["text"].endswith(f"@127.0.0.1 #{code_in(asked)}")
    assert 170 < asked.fields["ttl"] <= 180
    assert "from" not in asked.fields  # the channel has no sender
    assert asked.headers["Authorization"] == "Bearer S3CRET"
    assert asked.headers["Idempotency-Key"].endswith("-1")


def test_what_came_by_the_gateway_signs_in(page: Browser, sms: Gateway) -> None:
    page.submit("phone", phone=(phone := number(GOOD)))
    response = page.submit("code", code=code_in(sms.hears(phone)))
    assert response.headers["location"].endswith("/profile")


def test_a_phone_that_no_route_leads_to_is_refused(
    bot: RelyingParty, page: Browser, sms: Gateway
) -> None:
    refused = bot.post("/otp", phone=(phone := "+4915112345678"))
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert "send a code to this number" in page.submit("phone", phone=phone).text
    assert sms.about(phone) == []


def test_the_request_does_not_wait_for_the_provider(bot: RelyingParty, sms: Gateway) -> None:
    began = time.monotonic()
    ask(bot, phone := number(HANGS_FIRST))
    assert time.monotonic() - began < 3
    sms.hears(phone, "/good")


def test_from_the_queue_to_the_gateway(bot: RelyingParty, sms: Gateway) -> None:
    waits = []
    for _ in range(20):
        phone = number(GOOD)
        ask(bot, phone)
        answered = time.time()
        waits.append(1000 * (sms.hears(phone).at - answered))
    sys.stdout.write(
        f"from the answer of /otp to the gateway: median {statistics.median(waits):.0f} ms, "
        f"longest {max(waits):.0f} ms\n"
    )


# Cascades


def test_after_a_refusal_the_next_step_comes_at_once(bot: RelyingParty, sms: Gateway) -> None:
    ask(bot, phone := number(REFUSED_FIRST))
    first, second = sms.hears(phone, "/refuses"), sms.hears(phone, "/good")
    assert code_in(first) == code_in(second)


def test_rubbish_may_mean_that_it_was_sent(bot: RelyingParty, sms: Gateway) -> None:
    ask(bot, phone := number(RUBBISH_FIRST))
    sms.hears(phone, "/good")
    assert len(sms.about(phone, "/rubbish")) == 1


def test_a_provider_that_hangs_is_asked_once_and_then_the_next(
    bot: RelyingParty, sms: Gateway
) -> None:
    ask(bot, phone := number(HANGS_FIRST))
    sms.hears(phone, "/good")
    assert len(sms.about(phone, "/hangs")) == 1


def test_an_idempotent_provider_is_asked_again_with_the_same_key(
    bot: RelyingParty, sms: Gateway
) -> None:
    ask(bot, phone := number(ONCE_MORE))
    again = sms.hears(phone, "/forgets", times=2)
    assert again.fields == sms.about(phone)[0].fields


def test_what_was_perhaps_taken_is_not_called_unsent_when_the_provider_is_busy_then(
    page: Browser, sms: Gateway
) -> None:
    phone = number(PERHAPS)
    sms.behaviour["/perhaps"] = lambda _: Answer(503 if len(sms.about(phone)) > 1 else 0)
    page.submit("phone", phone=phone)
    sms.hears(phone, times=2)
    time.sleep(1)  # it stays so
    assert page.http.get(f"{page.interaction}/delivery").json() == {"delivery": "messenger"}


def test_when_nobody_takes_it_the_customer_is_told_and_may_ask_again_at_once(
    page: Browser, sms: Gateway
) -> None:
    page.submit("phone", phone=(phone := number(NOBODY)))
    sms.hears(phone)
    told = "We couldn’t send the code"
    eventually(lambda: told in page.get("code").text, "the page says so")
    assert page.http.get(f"{page.interaction}/delivery").json() == {"delivery": "failed"}
    assert "data-resend-after" not in page.get("code").text
    page.submit("resend")
    sms.hears(phone, times=2)


# Flash calls


def test_the_end_of_the_calling_number_signs_in(page: Browser, sms: Gateway) -> None:
    page.submit("phone", phone=(phone := number(CALLED)))
    asked = sms.hears(phone)
    assert asked.fields == {"to": phone.lstrip("+")}
    assert "last 4\N{NO-BREAK SPACE}digits" in page.get("code").text

    def entered() -> bool:  # the provider's answer may be on its way to the store
        return page.submit("code", code="4821").headers["location"].endswith("/profile")

    eventually(entered, "the call's code is known")


def test_a_bot_may_redeem_the_end_of_the_calling_number(bot: RelyingParty, sms: Gateway) -> None:
    started = ask(bot, phone := number(CALLED))
    sms.hears(phone)

    def redeemed() -> bool:
        answer = bot.token(grant_type=PHONE_OTP, otp_session=started["otp_session"], otp="4821")
        return answer.status_code == 200

    eventually(redeemed, "the call's code is known")


def test_an_app_is_told_how_the_code_comes(running: Running, sms: Gateway) -> None:
    party = RelyingParty(running, "demo-native")
    told = []
    for cascade in (CALLED, NOBODY):
        begun = party.request(redirect_uri=None, state=None, phone=number(cascade))
        first = party.post("/authorize-challenge", **begun).json()
        sms.hears(begun["phone"])
        told.append(first["otp_delivery"])

    def failed() -> bool:
        session = first["auth_session"]
        step = party.post("/authorize-challenge", auth_session=session).json()
        return (step["otp_delivery"], step["resend_after"]) == ("failed", 0)

    assert told == ["flash_call", "messenger"]
    eventually(failed, "the code could not be sent")


def test_an_app_that_asks_too_early_is_told_how_the_code_came(
    running: Running, sms: Gateway
) -> None:
    party, phone = RelyingParty(running, "demo-native"), number(REFUSED_FIRST)
    begun = party.request(redirect_uri=None, state=None, phone=phone)
    session = party.post("/authorize-challenge", **begun).json()["auth_session"]
    sms.hears(phone, "/good")

    again = party.post("/authorize-challenge", auth_session=session, phone=phone).json()

    assert (again["otp_delivery"], again["resend_after"] > 0) == ("sms", True)


# Receipts


def test_a_receipt_in_time_spares_the_next_step(
    running: Running, bot: RelyingParty, sms: Gateway
) -> None:
    taken: list[int] = []
    sms.behaviour["/good"] = lambda _: Answer(202, json.dumps({"id": f"r{len(taken)}"}))
    ask(bot, phone := number(RECEIPTS))
    sms.hears(phone, "/good")
    for status in ("ENROUTE", "DELIVRD", "DELIVRD", "UNDELIV"):
        assert receipt(running, "r0", status).status_code == 204
    time.sleep(4.5)
    assert sms.about(phone, "/second") == []


def test_without_a_receipt_the_next_step_comes(bot: RelyingParty, sms: Gateway) -> None:
    ask(bot, phone := number(RECEIPTS))
    first, second = sms.hears(phone, "/good"), sms.hears(phone, "/second")
    assert second.at - first.at > 1.9
    assert code_in(first) == code_in(second)


def test_a_receipt_of_failure_brings_the_next_step_at_once(
    running: Running, bot: RelyingParty, sms: Gateway
) -> None:
    sms.behaviour["/good"] = lambda _: Answer(202, json.dumps({"id": "lost"}))
    ask(bot, phone := number(RECEIPTS))
    sms.hears(phone, "/good")
    began = time.monotonic()
    assert receipt(running, "lost", "UNDELIV").status_code == 204
    sms.hears(phone, "/second")
    assert time.monotonic() - began < 2.9


@pytest.mark.parametrize("token", [None, "", "r3ceipt", "R3CEIPT\N{POUND SIGN}"])
def test_a_callback_without_the_secret_is_refused(running: Running, token: str | None) -> None:
    headers = [] if token is None else [(b"X-Token", token.encode())]
    with running.client() as client:
        answer = client.post(
            "/messages/good/receipt",
            headers=headers,
            content=b'{"id": "1", "status": "DELIVRD"}',
        )
    assert answer.status_code == 403


def test_a_callback_may_prove_itself_by_a_hash_of_its_body(running: Running) -> None:
    body = b"id=7&status=ok"
    signature = hmac.new(b"H4SH", body, hashlib.sha256).hexdigest()
    with running.client() as client:
        answers = [
            client.post("/messages/second/receipt", headers={"X-Signature": it}, content=content)
            for it, content in (
                (signature, body),
                (f"sha256={signature}", body),
                (signature, body + b" "),
                ("", body),
            )
        ]
    assert [it.status_code for it in answers] == [204, 204, 403, 403]


def test_a_hash_of_the_body_proves_nothing_of_a_query(running: Running) -> None:
    """Or else one body that somebody has seen would be good for any receipt."""
    seen, query = b"id=7&status=ok", "id=8&status=ok"
    answers = []
    with running.client() as client:
        for content, signed in ((seen, seen), (b"", b""), (b"", query.encode())):
            signature = hmac.new(b"H4SH", signed, hashlib.sha256).hexdigest()
            headers = {"X-Signature": signature}
            url = f"/messages/second/receipt?{query}"
            answers.append(client.request("GET", url, headers=headers, content=content))

    assert [it.status_code for it in answers] == [403, 403, 204]


def batch(running: Running, content: Any) -> httpx2.Response:
    with running.client() as client:
        return client.post(
            "/messages/many/receipt",
            headers={"X-Token": "R3CEIPT", "Content-Type": "application/json"},
            content=content if isinstance(content, bytes) else json.dumps(content),
        )


def test_many_receipts_may_come_at_once(running: Running, bot: RelyingParty, sms: Gateway) -> None:
    sms.behaviour["/many"] = lambda asked: Answer(200, json.dumps({"id": asked.fields["to"]}))
    arrived, lost = number(BATCHES), number(BATCHES)
    for phone in (arrived, lost):
        ask(bot, phone)
        sms.hears(phone, "/many")
    began = time.monotonic()

    answer = batch(
        running,
        {
            "messages": [
                {"id": arrived[1:], "status": "ok"},
                {"status": "ok"},
                "rubbish",
                {"id": "somebody's", "status": "ok"},
                {"id": lost[1:], "status": "lost"},
            ]
        },
    )

    assert answer.status_code == 204
    sms.hears(lost, "/good")
    assert time.monotonic() - began < 4.9
    time.sleep(max(0.0, began + 6.5 - time.monotonic()))
    assert sms.about(arrived, "/good") == []
    told = [it for it in running.server.output.splitlines() if "receipts_not_read" in it]
    assert len(told) == 1
    assert '"count":2' in told[0].replace(" ", "")


ONE = {"id": "x", "status": "ok"}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"messages": []}, 204),
        ({"messages": [ONE] * 500}, 204),
        ({"messages": [ONE] * 501}, 413),
        ({"messages": [{"id": "x", "status": "on its way"}] * 501}, 413),
        ({"messages": [0] * 80_000}, 413),
        ({"messages": [{"id": "x" * 600, "status": "ok"}] * 400}, 204),
        ({"messages": [{"id": "x" * 700, "status": "ok"}] * 400}, 413),
        ({"messages": [{}, None, [], 1]}, 400),
        ({"messages": {"0": ONE}}, 400),
        ({"messages": "x"}, 400),
        (ONE, 400),
        ([ONE], 400),
        (b"", 400),
        (b"[" * 100_000, 400),
    ],
)
def test_a_batch_of_any_kind_is_answered(running: Running, content: Any, status: int) -> None:
    assert batch(running, content).status_code == status


def test_a_batch_that_is_too_large_and_comes_in_pieces_is_refused(running: Running) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 3_000
            time.sleep(0.005)

    with running.client() as client:
        answer = client.post(
            "/messages/many/receipt",
            headers={"X-Token": "R3CEIPT", "Content-Type": "application/json"},
            content=pieces(),
        )
    assert answer.status_code == 413


def test_a_callback_may_be_a_get_with_the_secret_in_its_query(running: Running) -> None:
    with running.client() as client:
        answers = [
            client.get("/messages/rubbish/receipt", params={"token": token, "id": 1, "status": 1})
            for token in ("QU3RY", "qu3ry", "")
        ]
    assert [it.status_code for it in answers] == [204, 403, 403]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("good", b"", 400),
        ("good", b"\xff", 400),
        ("good", b"[[[", 400),
        ("good", b'{"id": null, "status": "DELIVRD"}', 400),
        ("good", b'{"id": "never heard of", "status": "DELIVRD"}', 204),
        ("good", b'{"id": "1", "status": "anything"}', 204),
        ("good", b"x" * 20_000, 413),
        ("calls", b"{}", 404),
        ("nobody", b"{}", 404),
    ],
)
def test_a_callback_of_any_kind_is_answered(
    running: Running, path: str, body: bytes, status: int
) -> None:
    with running.client() as client:
        answer = client.post(
            f"/messages/{path}/receipt", headers={"X-Token": "R3CEIPT"}, content=body
        )
    assert answer.status_code == status


def test_a_provider_that_cannot_be_reached_is_left_alone_after_a_while(
    running: Running, bot: RelyingParty, sms: Gateway
) -> None:
    for _ in range(12):  # to two workers
        ask(bot, phone := number(DEAD_FIRST))
        sms.hears(phone, "/good")
    text = httpx2.get(running.metrics, trust_env=False).text
    opened = re.search(r'idp_message_circuits_open\{provider="dead"\} (\d)', text)
    assert opened is not None
    assert int(opened[1]) >= 1
    assert 'idp_messages_total{outcome="refused",provider="none"}' in text


def test_what_became_of_messages_is_counted(running: Running, bot: RelyingParty) -> None:
    ask(bot, number(GOOD))

    def counted() -> bool:
        text = httpx2.get(running.metrics, trust_env=False).text
        return all(
            line in text
            for line in (
                'idp_messages_total{outcome="submitted",provider="good"}',
                "idp_message_queue_age_seconds",
                'idp_message_circuits_open{provider="good"} 0.0',
            )
        )

    eventually(counted, "the metrics tell")


# What dies on the way


@pytest.fixture(scope="module")
def victim(sms: Gateway) -> Iterator[Running]:
    with provider(workers=2, toml=_DELIVERY.format(origin=sms.origin)) as it:
        yield it


def ask_at_once(victim: Running, how_many: int = 12) -> list[str]:
    """Ask for codes to be sent by a provider that takes its time; their phones."""
    bot = RelyingParty(victim, "demo-bot")
    phones = [number(ONCE_MORE) for _ in range(how_many)]
    with ThreadPoolExecutor(how_many) as threads:
        assert len(list(threads.map(lambda phone: ask(bot, phone), phones))) == how_many
    return phones


def all_arrive_by_one_key(sms: Gateway, phones: list[str]) -> None:
    for phone in phones:
        sms.hears(phone)
        assert len({it.fields["key"] for it in sms.about(phone)}) == 1


def test_killed_workers_lose_nothing_that_was_queued(victim: Running, sms: Gateway) -> None:
    sms.behaviour["/forgets"] = lambda _: Answer(200, seconds=0.5)
    phones = ask_at_once(victim)
    for pid in victim.server.workers():
        os.kill(pid, signal.SIGKILL)
    killed = time.time()

    all_arrive_by_one_key(sms, phones)

    later = [it for phone in phones for it in sms.about(phone) if it.at > killed]
    sys.stdout.write(f"of {len(phones)} messages {len(later)} were submitted by the heirs\n")


def test_a_killed_store_loses_nothing_that_was_queued(victim: Running, sms: Gateway) -> None:
    victim.server.await_ready()
    sms.behaviour["/forgets"] = lambda _: Answer(200, seconds=0.5)
    phones = ask_at_once(victim)
    os.kill(victim.server.tarantool(), signal.SIGKILL)

    all_arrive_by_one_key(sms, phones)
