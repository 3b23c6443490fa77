"""A doubtful source works before it gets a code; a browser that has signed in does not."""

import hashlib
import itertools
import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.http.provider import (
    PHONE_OTP,
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    new_phone,
)
from tests.http.provider import provider as run_provider

BAD_PROOF = "proof_of_work is wrong, too old or used: ask again with another"


@pytest.fixture(scope="module")
def watching() -> Iterator[Running]:
    """A provider that watches, and asks for little work."""
    toml = "[sending]\nlowest_conversion = 0.4\nproof_of_work_bits = 8\n"
    with run_provider(toml=toml) as running:
        yield running


def solved(challenge: str, bits: int, *, right: bool = True) -> str:
    """A number that is right for a challenge, or one that is not."""
    for number in itertools.count():
        answer = f"{challenge}:{number}"
        digest = int.from_bytes(hashlib.sha256(answer.encode()).digest(), "big")
        if (digest >> (256 - bits) == 0) == right:
            return answer
    raise AssertionError


def doubted(running: Running) -> RelyingParty:
    """A client of which nobody has answered for a while."""
    bot = RelyingParty(running, "demo-bot")
    for _ in range(6):
        bot.post("/otp", phone=new_phone())
    return bot


def test_an_app_is_told_what_to_do_and_does_it_once(watching: Running) -> None:
    bot, phone = doubted(watching), new_phone()
    refused = bot.post("/otp", phone=phone)
    wanted = refused.json()["proof_of_work"]
    otp_session = refused.json()["otp_session"]
    assert (refused.status_code, refused.json()["error"]) == (403, "proof_of_work_required")
    assert (wanted["algorithm"], wanted["bits"], wanted["expires_in"]) == ("sha-256", 8, 300)

    proof = solved(wanted["challenge"], 8)
    again = {"otp_session": otp_session, "phone": phone}
    started = bot.post("/otp", **again, proof_of_work=proof)
    assert started.status_code == 200
    assert started.json()["otp_session"] == otp_session
    elsewhere = bot.post("/otp", phone=phone, proof_of_work=proof)
    assert elsewhere.json()["error"] == "proof_of_work_required"


def test_a_wrong_proof_is_told_with_another_challenge(watching: Running) -> None:
    bot, phone = doubted(watching), new_phone()
    refused = bot.post("/otp", phone=phone).json()
    otp_session, challenge = refused["otp_session"], refused["proof_of_work"]["challenge"]
    again = {"otp_session": otp_session, "phone": phone}

    for wrong in (solved(challenge, 8, right=False), f"{challenge}:x", challenge):
        answer = bot.post("/otp", **again, proof_of_work=wrong)
        told = answer.json()
        assert (answer.status_code, told["error"]) == (403, "proof_of_work_required")
        assert told["error_description"] == BAD_PROOF
        assert told["otp_session"] == otp_session
        assert told["proof_of_work"]["challenge"] != challenge
        challenge = told["proof_of_work"]["challenge"]

    assert bot.post("/otp", **again, proof_of_work=solved(challenge, 8)).status_code == 200


@pytest.mark.parametrize("foreign", ["phone", "otp_session", "proof_of_work"])
def test_a_proof_of_something_else_is_told_so(watching: Running, foreign: str) -> None:
    bot, phone = doubted(watching), new_phone()
    refused = bot.post("/otp", phone=phone).json()
    asked = {
        "otp_session": refused["otp_session"],
        "phone": phone,
        "proof_of_work": solved(refused["proof_of_work"]["challenge"], 8),
    }
    other = {"otp_session": "x" * 22, "phone": new_phone(), "proof_of_work": "a.1.8.b:1"}

    answer = bot.post("/otp", **asked | {foreign: other[foreign]})

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert answer.json()["error_description"] == (
        "proof_of_work is not of a challenge for this phone and otp_session"
    )


def test_a_proof_that_was_used_is_told_with_another_challenge(watching: Running) -> None:
    bot, phone = doubted(watching), new_phone()
    wanted = bot.post("/otp", phone=phone).json()
    proof = solved(wanted["proof_of_work"]["challenge"], 8)
    again = {"otp_session": wanted["otp_session"], "phone": phone, "proof_of_work": proof}
    assert bot.post("/otp", **again).status_code == 200
    for _ in range(5):
        bot.post("/token", grant_type=PHONE_OTP, otp_session=wanted["otp_session"], otp="0" * 6)

    used = bot.post("/otp", **again)

    assert (used.status_code, used.json()["error"]) == (403, "proof_of_work_required")
    assert used.json()["error_description"] == BAD_PROOF


@pytest.mark.parametrize("proof", ["", ":", "a:1", "a.b.c.d:1", "a.1.8.é:1", "x" * 5_000])
def test_a_proof_that_is_none_is_as_good_as_none(watching: Running, proof: str) -> None:
    refused = doubted(watching).post("/otp", phone=new_phone(), proof_of_work=proof)
    assert refused.json()["error"] == "proof_of_work_required"


def test_a_page_works_and_a_browser_that_has_signed_in_need_not(
    watching: Running, open_browser: OpenBrowser
) -> None:
    party, phone = RelyingParty(watching), new_phone()
    known = open_browser(watching)
    known.tokens(party, phone)
    (device,) = (it for it in known.http.cookies.jar if it.name == "device")
    assert device.has_nonstandard_attr("HttpOnly")
    for _ in range(6):
        ask(open_browser(watching), party, new_phone())

    stranger = open_browser(watching)
    page = ask(stranger, party, phone)
    assert page.status_code == 200
    assert "<noscript>" in page.text
    found = re.search(r'data-challenge="([^"]+)" data-bits="8"', page.text)
    assert found
    sent = stranger.submit("phone", phone=phone, proof_of_work=solved(found[1], 8))
    assert sent.headers["location"].endswith("/code")

    known.authorize(party, prompt="login")
    assert known.submit("phone", phone=phone).headers["location"].endswith("/code")
    known.authorize(party, prompt="login")
    assert "data-challenge" in known.submit("phone", phone=new_phone()).text


def ask(browser: Browser, party: RelyingParty, phone: str) -> httpx2.Response:
    browser.authorize(party)
    return browser.submit("phone", phone=phone)


@pytest.mark.parametrize("phone", ["+7 495 123-45-67", "+1 900 555 01 99"])
def test_what_is_no_mobile_number_gets_no_code(watching: Running, phone: str) -> None:
    refused = RelyingParty(watching, "demo-bot").post("/otp", phone=phone)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
