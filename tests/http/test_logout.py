import time
from typing import Any

import httpx2
import pytest

from tests.http.provider import (
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    hidden_fields,
    new_phone,
    parameters_of,
)

HOME = "http://localhost:8001/"


@pytest.fixture
def tokens(browser: Browser, party: RelyingParty) -> dict[str, Any]:
    return browser.tokens(party, new_phone())


def logout(browser: Browser, **parameters: str) -> httpx2.Response:
    return browser.http.get("/logout", params=parameters)


def confirm(browser: Browser, page: httpx2.Response) -> httpx2.Response:
    assert page.status_code == 200
    return browser.http.post("/logout/confirm", data=hidden_fields(page.text))


def is_signed_in(browser: Browser, party: RelyingParty) -> bool:
    return "code" in parameters_of(browser.authorize(party, prompt="none"))


# With an ID token


def test_a_hint_ends_the_session_and_leads_back_with_the_state(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    answer = logout(
        browser,
        id_token_hint=tokens["id_token"],
        post_logout_redirect_uri=HOME,
        state="a b&c",
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{HOME}?state=a+b%26c"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith('session="";')
    assert "Max-Age=0" in cookie
    assert not is_signed_in(browser, party)


def test_the_session_ends_for_whoever_kept_its_cookie(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    kept = browser.http.cookies["session"]
    logout(browser, id_token_hint=tokens["id_token"])
    browser.http.cookies.set("session", kept)
    assert not is_signed_in(browser, party)


def test_one_channels_logout_signs_out_of_all(
    provider: Running, browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    other = RelyingParty(provider, "demo-rs256", scope="openid")
    others = browser.tokens(other, "")
    logout(browser, id_token_hint=others["id_token"])
    assert provider.userinfo(tokens["access_token"]).status_code == 401
    assert party.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"


def test_without_an_address_it_ends_on_a_page(browser: Browser, tokens: dict[str, Any]) -> None:
    page = logout(browser, id_token_hint=tokens["id_token"], state="x", ui_locales="ru")
    assert page.status_code == 200
    assert '<html lang="ru">' in page.text
    assert "location" not in page.headers


def test_a_cross_site_post_comes_again_by_get_with_the_cookie(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    # SameSite=Lax: the POST itself comes without the cookie.
    with browser.provider.client() as cross_site:
        posted = cross_site.post(
            "/logout", data={"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": HOME}
        )
    answer = browser.http.get(posted.headers["location"])
    assert (answer.status_code, answer.headers["location"]) == (303, HOME)
    assert not is_signed_in(browser, party)


def test_an_id_token_alone_signs_its_own_client_out_and_no_other(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    other = RelyingParty(browser.provider, "demo-rs256")
    others = other.redeem(browser.sign_in(other, "")["code"]).json()
    with browser.provider.client() as elsewhere:
        elsewhere.get("/logout", params={"id_token_hint": others["id_token"]})
        header = {"Authorization": f"Bearer {others['access_token']}"}
        assert elsewhere.get("/userinfo", headers=header).status_code == 401
    assert is_signed_in(browser, party)


def test_an_id_token_alone_ends_a_session_that_nobody_else_hangs_on(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    with browser.provider.client() as elsewhere:
        answer = elsewhere.get("/logout", params={"id_token_hint": tokens["id_token"]})
    assert "set-cookie" not in answer.headers
    assert party.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert not is_signed_in(browser, party)


def test_a_second_logout_is_as_good_as_the_first(browser: Browser, tokens: dict[str, Any]) -> None:
    for _ in range(2):
        answer = logout(browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=HOME)
        assert (answer.status_code, answer.headers["location"]) == (303, HOME)


def test_an_expired_hint_is_as_good_as_any(hasty: Running, open_browser: OpenBrowser) -> None:
    party, browser = RelyingParty(hasty), open_browser(hasty)
    tokens = browser.tokens(party, new_phone())
    time.sleep(1.1)
    answer = logout(browser, id_token_hint=tokens["id_token"], post_logout_redirect_uri=HOME)
    assert answer.status_code == 303
    assert not is_signed_in(browser, party)


# Without, the customer is asked


def test_without_a_hint_nothing_ends_before_the_customer_says_so(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    page = logout(browser)
    assert is_signed_in(browser, party)
    assert confirm(browser, page).status_code == 200
    assert not is_signed_in(browser, party)


def test_a_confirmed_logout_leads_back_to_the_client_that_asked(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    page = logout(browser, client_id="demo", post_logout_redirect_uri=HOME, state="s")
    answer = confirm(browser, page)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HOME}?state=s")
    assert not is_signed_in(browser, party)


def test_nobody_else_confirms(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    with browser.provider.client() as elsewhere:
        others = hidden_fields(elsewhere.get("/logout").text)["csrf"]
    for csrf in ("", "guess", others):
        refused = browser.http.post("/logout/confirm", data={"csrf": csrf})
        assert refused.status_code == 403
    assert is_signed_in(browser, party)


def test_a_hint_of_another_session_is_asked_about(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any], open_browser: OpenBrowser
) -> None:
    other = open_browser(browser.provider)
    others = other.tokens(party, new_phone())
    page = logout(browser, id_token_hint=others["id_token"], post_logout_redirect_uri=HOME)
    assert is_signed_in(browser, party)
    answer = confirm(browser, page)
    assert (answer.status_code, answer.headers["location"]) == (303, HOME)
    # What the customer sees and confirms is this browser's session.
    assert not is_signed_in(browser, party)
    assert is_signed_in(other, party)


def test_a_cross_site_post_takes_nobodys_cookie_away(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    # SameSite=Lax: it comes without the cookie, here with a hint of the attacker's own.
    with browser.provider.client() as cross_site:
        csrf = hidden_fields(cross_site.get("/logout").text)["csrf"]
        for answer in (
            cross_site.post("/logout", data={"id_token_hint": tokens["id_token"]}),
            cross_site.post("/logout/confirm", data={"csrf": csrf}),
        ):
            assert "set-cookie" not in answer.headers
    assert is_signed_in(browser, party)


# Refused


@pytest.mark.parametrize(
    "changes",
    [
        {"post_logout_redirect_uri": "https://evil.example.com/"},
        {"post_logout_redirect_uri": HOME.rstrip("/")},
        {"post_logout_redirect_uri": f"{HOME}?x=1"},
        {"client_id": "demo-rs256"},
        {"client_id": "nobody"},
        {"id_token_hint": "nonsense"},
    ],
)
def test_nobody_is_redirected_by_an_unproven_request(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any], changes: dict[str, str]
) -> None:
    request = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": HOME}
    page = logout(browser, **(request | changes))
    assert page.status_code == 400
    assert "location" not in page.headers
    assert is_signed_in(browser, party)


def test_an_address_without_a_client_is_nobodys(browser: Browser) -> None:
    page = logout(browser, post_logout_redirect_uri=HOME)
    assert page.status_code == 400
    assert "location" not in page.headers


def test_a_repeated_parameter_is_refused(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    hint = tokens["id_token"]
    page = browser.http.get(f"/logout?id_token_hint={hint}&id_token_hint={hint}")
    assert page.status_code == 400
    assert is_signed_in(browser, party)
