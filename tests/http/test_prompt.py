"""prompt, max_age and id_token_hint: who is asked, and who may answer."""

import time

import pytest

from tests.http.provider import (
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    new_phone,
    parameters_of,
)


def asks(browser: Browser, party: RelyingParty, **changes: str | None) -> bool:
    """Whether a request of a browser with a session is answered by a page and not by a code."""
    response = browser.authorize(party, **changes)
    assert browser.interaction or "code" in parameters_of(response)
    return bool(browser.interaction)


def error_of(browser: Browser, party: RelyingParty, **changes: str | None) -> str:
    return parameters_of(browser.authorize(party, **changes))["error"]


# prompt


def test_without_a_session_nobody_can_answer_silently(
    browser: Browser, party: RelyingParty
) -> None:
    assert error_of(browser, party, prompt="none") == "login_required"


def test_with_a_session_the_answer_is_silent(browser: Browser, party: RelyingParty) -> None:
    browser.sign_in(party, new_phone())
    assert not asks(browser, party, prompt="none")
    assert not asks(browser, party)


@pytest.mark.parametrize("prompt", ["login", "create", "select_account", "login consent"])
def test_a_session_does_not_answer_for_the_customer(
    browser: Browser, party: RelyingParty, prompt: str
) -> None:
    browser.sign_in(party, new_phone())
    assert asks(browser, party, prompt=prompt)


def test_the_groups_policy_stands_for_the_customers_consent(
    browser: Browser, party: RelyingParty
) -> None:
    browser.sign_in(party, new_phone())
    assert not asks(browser, party, prompt="consent")


@pytest.mark.parametrize("prompt", ["none login", "always", "Login"])
def test_a_prompt_without_sense_is_refused(
    browser: Browser, party: RelyingParty, prompt: str
) -> None:
    assert error_of(browser, party, prompt=prompt) == "invalid_request"


def test_another_account_takes_over_the_browser(browser: Browser, party: RelyingParty) -> None:
    first = browser.tokens(party, new_phone())
    second = browser.tokens(party, new_phone(), prompt="select_account")
    assert claims_of(first["id_token"])["sub"] != claims_of(second["id_token"])["sub"]
    assert claims_of(first["id_token"])["sid"] != claims_of(second["id_token"])["sid"]
    # The first session has ended, and with it all that did not ask to outlive it.
    assert party.refresh(first["refresh_token"]).json()["error"] == "invalid_grant"
    code = parameters_of(browser.authorize(party, prompt="none"))["code"]
    third = party.redeem(code).json()
    assert claims_of(third["id_token"])["sub"] == claims_of(second["id_token"])["sub"]


# max_age


def test_max_age_asks_once_the_sign_in_is_too_old(browser: Browser, party: RelyingParty) -> None:
    browser.sign_in(party, new_phone())
    assert not asks(browser, party, max_age="3600")
    assert asks(browser, party, max_age="0")
    time.sleep(1.1)
    assert asks(browser, party, max_age="1")


def test_silence_and_max_age_end_in_login_required(browser: Browser, party: RelyingParty) -> None:
    browser.sign_in(party, new_phone())
    assert error_of(browser, party, prompt="none", max_age="0") == "login_required"


def test_a_new_sign_in_renews_auth_time_and_keeps_the_session(
    browser: Browser, party: RelyingParty
) -> None:
    phone = new_phone()
    first = claims_of(browser.tokens(party, phone)["id_token"])
    time.sleep(1.1)
    second = claims_of(browser.tokens(party, phone, max_age="1")["id_token"])
    assert first["auth_time"] < second["auth_time"] <= second["iat"]
    assert (first["sub"], first["sid"]) == (second["sub"], second["sid"])


def test_single_sign_on_tells_when_the_customer_signed_in(
    browser: Browser, party: RelyingParty
) -> None:
    first = claims_of(browser.tokens(party, new_phone())["id_token"])
    time.sleep(1.1)
    code = parameters_of(browser.authorize(party))["code"]
    second = claims_of(party.redeem(code).json()["id_token"])
    assert first["auth_time"] == second["auth_time"] < second["iat"]


@pytest.mark.parametrize("max_age", ["-1", "1.5", "soon", "1" * 11, "١"])
def test_max_age_is_a_number_of_seconds(
    browser: Browser, party: RelyingParty, max_age: str
) -> None:
    assert error_of(browser, party, max_age=max_age) == "invalid_request"


# id_token_hint


def test_a_hint_of_the_customer_who_is_here_is_answered_silently(
    browser: Browser, party: RelyingParty
) -> None:
    hint = browser.tokens(party, new_phone())["id_token"]
    assert not asks(browser, party, prompt="none", id_token_hint=hint)


def test_a_hint_of_somebody_else_is_not(
    browser: Browser, other_browser: Browser, party: RelyingParty
) -> None:
    hint = other_browser.tokens(party, new_phone())["id_token"]
    browser.sign_in(party, new_phone())
    assert error_of(browser, party, prompt="none", id_token_hint=hint) == "login_required"
    assert asks(browser, party, id_token_hint=hint)


def test_only_the_customer_whom_the_hint_names_can_answer(
    browser: Browser, other_browser: Browser, party: RelyingParty
) -> None:
    hinted = new_phone()
    hint = other_browser.tokens(party, hinted)["id_token"]
    answer = browser.sign_in(party, new_phone(), id_token_hint=hint)
    assert answer["error"] == "login_required"
    assert "code" in browser.sign_in(party, hinted, id_token_hint=hint)


def test_an_expired_hint_is_as_good_as_any(hasty: Running, open_browser: OpenBrowser) -> None:
    party, browser = RelyingParty(hasty), open_browser(hasty)
    hint = browser.tokens(party, new_phone())["id_token"]
    time.sleep(1.1)
    assert claims_of(hint)["exp"] <= time.time()
    assert not asks(browser, party, prompt="none", id_token_hint=hint)


def test_what_is_no_id_token_of_ours_is_no_hint(browser: Browser, party: RelyingParty) -> None:
    tokens = browser.tokens(party, new_phone())
    head, payload, signature = tokens["id_token"].split(".")
    other_signature = signature[:-8] + "AAAAAAAA"
    for hint in ("nonsense", tokens["access_token"], f"{head}.{payload}.{other_signature}"):
        assert error_of(browser, party, id_token_hint=hint) == "invalid_request"
