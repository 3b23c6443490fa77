"""The phone grant: a confidential client asks for phone and code in its own words."""

import time
from typing import Any

import httpx2
import pytest

from tests.http.provider import (
    PHONE_OTP,
    TEST_CODE,
    RelyingParty,
    Running,
    claims_of,
    new_phone,
    new_test_number,
)


@pytest.fixture
def bot(provider: Running) -> RelyingParty:
    return RelyingParty(provider, "demo-bot")


def start(bot: RelyingParty, phone: str, **changes: str) -> str:
    """Have a code sent; the otp_session."""
    started = bot.post("/otp", phone=phone, **changes)
    assert started.status_code == 200, started.text
    return str(started.json()["otp_session"])


def grant(bot: RelyingParty, otp_session: str, otp: str, **changes: str) -> httpx2.Response:
    return bot.token(grant_type=PHONE_OTP, otp_session=otp_session, otp=otp, **changes)


def tokens_of(bot: RelyingParty, phone: str, **changes: str) -> dict[str, Any]:
    otp_session = start(bot, phone)
    answer: dict[str, Any] = grant(bot, otp_session, bot.provider.code_for(phone), **changes).json()
    return answer


def wrong_codes(bot: RelyingParty, phone: str) -> list[str]:
    """More wrong codes than there are tries."""
    right = bot.provider.code_for(phone)
    return [code for code in (f"{number:06}" for number in range(7)) if code != right][:6]


def is_invalid(response: httpx2.Response) -> bool:
    return response.status_code == 400 and response.json()["error"] == "invalid_grant"


def messages(bot: RelyingParty, phone: str) -> list[dict[str, str]]:
    return bot.provider.messages_for(phone)


# A sign-in


def test_a_code_is_sent_and_gives_tokens(bot: RelyingParty) -> None:
    phone = new_phone()
    started = bot.post("/otp", phone=phone).json()
    assert started.keys() == {"otp_session", "expires_in", "resend_after"}
    assert (started["expires_in"], started["resend_after"]) == (180, 30)
    answer = grant(bot, started["otp_session"], bot.provider.code_for(phone), scope="openid phone")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    tokens = answer.json()
    claims = claims_of(tokens["id_token"])
    assert (claims["aud"], claims["amr"]) == ("demo-bot", ["otp", "sms"])
    assert tokens["scope"] == "openid phone"
    userinfo = bot.provider.userinfo(tokens["access_token"]).json()
    assert userinfo == {
        "sub": claims["sub"],
        "phone_number": phone,
        "phone_number_verified": True,
    }


def test_the_first_sign_in_registers_and_each_has_a_session_of_its_own(bot: RelyingParty) -> None:
    phone = new_phone()
    first = claims_of(tokens_of(bot, phone)["id_token"])
    second = claims_of(tokens_of(bot, phone)["id_token"])
    assert first["sub"] == second["sub"]
    assert first["sid"] != second["sid"]


def test_a_phone_may_be_written_as_people_write_it(bot: RelyingParty) -> None:
    phone = new_phone()
    start(bot, f"8 ({phone[2:5]}) {phone[5:8]}-{phone[8:10]}-{phone[10:]}")
    assert messages(bot, phone)


def test_without_a_scope_it_is_openid(bot: RelyingParty) -> None:
    assert tokens_of(bot, new_phone())["scope"] == "openid"


def test_a_test_number_has_its_own_code_and_no_message(bot: RelyingParty) -> None:
    phone = new_test_number()
    for _ in range(7):  # nor a limit
        assert grant(bot, start(bot, phone), TEST_CODE).status_code == 200
    assert messages(bot, phone) == []


def test_its_tokens_are_refreshed_as_any(bot: RelyingParty) -> None:
    tokens = tokens_of(bot, new_phone(), scope="openid profile")
    refreshed = bot.refresh(tokens["refresh_token"])
    assert refreshed.status_code == 200
    assert refreshed.json()["scope"] == "openid profile"


def test_its_session_ends_with_its_id_token_as_proof(bot: RelyingParty) -> None:
    tokens = tokens_of(bot, new_phone())
    with bot.provider.client() as client:
        client.get("/logout", params={"id_token_hint": tokens["id_token"]})
    assert is_invalid(bot.refresh(tokens["refresh_token"]))


# Codes


def test_each_wrong_code_costs_a_try_and_the_last_one_all(bot: RelyingParty) -> None:
    phone = new_phone()
    otp_session = start(bot, phone)
    answers = [grant(bot, otp_session, code) for code in wrong_codes(bot, phone)]
    assert all(is_invalid(answer) for answer in answers)
    assert [answer.json()["tries_left"] for answer in answers] == [4, 3, 2, 1, 0, 0]
    right = grant(bot, otp_session, bot.provider.code_for(phone))
    assert is_invalid(right)
    assert right.json()["tries_left"] == 0


def test_the_same_wrong_code_again_is_another_try(bot: RelyingParty) -> None:
    phone = new_phone()
    otp_session, wrong = start(bot, phone), wrong_codes(bot, phone)[0]
    assert [grant(bot, otp_session, wrong).json()["tries_left"] for _ in range(3)] == [4, 3, 2]
    assert grant(bot, otp_session, bot.provider.code_for(phone)).status_code == 200


@pytest.mark.parametrize("otp", ["12345", "1234567", "12345a", "١٢٣٤٥٦", "000 00"])
def test_what_cannot_be_a_code_costs_no_try(bot: RelyingParty, otp: str) -> None:
    phone = new_phone()
    otp_session = start(bot, phone)
    answer = grant(bot, otp_session, otp)
    assert is_invalid(answer)
    assert "tries_left" not in answer.json()


def test_a_code_is_used_once(bot: RelyingParty) -> None:
    phone = new_phone()
    otp_session, code = start(bot, phone), bot.provider.code_for(phone)
    assert grant(bot, otp_session, code).status_code == 200
    assert is_invalid(grant(bot, otp_session, code))


def test_a_code_is_not_good_for_long(hasty: Running) -> None:
    bot, phone = RelyingParty(hasty, "demo-bot"), new_phone()
    otp_session, code = start(bot, phone), hasty.code_for(phone)
    time.sleep(2.1)
    assert is_invalid(grant(bot, otp_session, code))


def test_a_new_start_leaves_the_code_before_good(bot: RelyingParty) -> None:
    phone = new_phone()
    first, code = start(bot, phone), bot.provider.code_for(phone)
    start(bot, phone)
    assert grant(bot, first, code).status_code == 200


# Sending again


def test_a_repetition_before_its_time_sends_nothing(bot: RelyingParty) -> None:
    phone = new_phone()
    otp_session = start(bot, phone)
    assert start(bot, phone, otp_session=otp_session) == otp_session
    assert len(messages(bot, phone)) == 1


def test_a_repetition_sends_the_same_code(hasty: Running) -> None:
    bot, phone = RelyingParty(hasty, "demo-bot"), new_phone()
    otp_session = start(bot, phone)
    assert messages(bot, phone)
    assert start(bot, phone, otp_session=otp_session) == otp_session
    first, second = messages(bot, phone)
    assert first["code"] == second["code"]
    assert grant(bot, otp_session, first["code"]).status_code == 200


def test_a_repetition_is_for_the_same_phone(bot: RelyingParty) -> None:
    otp_session = start(bot, new_phone())
    refused = bot.post("/otp", phone=new_phone(), otp_session=otp_session)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


# Limits


def test_a_phone_gets_only_so_many_codes(bot: RelyingParty) -> None:
    phone = new_phone()
    for _ in range(5):
        start(bot, phone)
    refused = bot.post("/otp", phone=phone)
    assert (refused.status_code, refused.json()["error"]) == (429, "slow_down")
    assert 0 < int(refused.headers["retry-after"]) <= 120
    assert len(messages(bot, phone)) == 5


def test_a_phone_bears_only_so_many_wrong_codes(bot: RelyingParty) -> None:
    phone = new_phone()
    for _ in range(3):
        otp_session = start(bot, phone)
        for code in wrong_codes(bot, phone)[:5]:
            assert is_invalid(grant(bot, otp_session, code))
    otp_session = start(bot, phone)
    # The first try of a journey is heard: somebody else's guesses must not lock the customer out.
    assert is_invalid(grant(bot, otp_session, wrong_codes(bot, phone)[0]))
    refused = grant(bot, otp_session, bot.provider.code_for(phone))
    assert (refused.status_code, refused.json()["error"]) == (429, "slow_down")
    assert 0 < int(refused.headers["retry-after"]) <= 240
    assert grant(bot, start(bot, phone), bot.provider.code_for(phone)).status_code == 200


# Who may


def test_another_client_can_neither_use_nor_repeat_nor_spoil_a_code(
    provider: Running, bot: RelyingParty
) -> None:
    other, phone = RelyingParty(provider, "lugavitsa-bot"), new_phone()
    otp_session, code = start(bot, phone), provider.code_for(phone)
    assert other.post("/otp", phone=phone, otp_session=otp_session).status_code == 400
    for wrong in (*wrong_codes(bot, phone), code):
        refused = grant(other, otp_session, wrong)
        assert is_invalid(refused)
        assert "tries_left" not in refused.json()
    assert grant(bot, otp_session, code).status_code == 200


@pytest.mark.parametrize("client_id", ["demo", "demo-native"])
def test_a_client_that_is_not_registered_for_it_is_refused(
    provider: Running, client_id: str
) -> None:
    other = RelyingParty(provider, client_id)
    for response in (other.post("/otp", phone=new_phone()), grant(other, "none", "000000")):
        assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")


def test_nobody_starts_it_without_authentication(provider: Running) -> None:
    with provider.client() as client:
        for response in (
            client.post("/otp", data={"phone": new_phone()}),
            client.post("/otp", data={"phone": new_phone()}, auth=("demo-bot", "wrong")),
        ):
            assert (response.status_code, response.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("phone", ["", "nobody", "112", "+7916", "+79160000000 ext. 5", "9" * 30])
def test_what_is_no_phone_is_refused(bot: RelyingParty, phone: str) -> None:
    refused = bot.post("/otp", phone=phone)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


def test_a_scope_that_the_client_is_not_registered_for_is_refused(bot: RelyingParty) -> None:
    phone = new_phone()
    otp_session, code = start(bot, phone), bot.provider.code_for(phone)
    refused = grant(bot, otp_session, code, scope="openid address")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    # The code was right and is not lost.
    assert grant(bot, otp_session, code, scope="openid").status_code == 200
