import html
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import pytest

from tests.http.provider import (
    DEMO_CALLBACK,
    Browser,
    RelyingParty,
    Running,
    hidden_fields,
    new_phone,
    parameters_of,
)


def error_of(response: httpx2.Response) -> str:
    assert response.status_code == 303
    return parameters_of(response)["error"]


def is_page(response: httpx2.Response, status: int = 400) -> bool:
    html_page = response.headers["content-type"] == "text/html; charset=utf-8"
    return html_page and response.status_code == status and "location" not in response.headers


# Before a proven redirect_uri: a page


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": None},
        {"client_id": "nobody"},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example.com/"},
        {"redirect_uri": f"{DEMO_CALLBACK}/"},
        {"redirect_uri": f"{DEMO_CALLBACK}?more=1"},
        {"redirect_uri": f"{DEMO_CALLBACK}#here"},
        {"redirect_uri": "http://localhost:8001/CALLBACK"},
        {"redirect_uri": "http://LOCALHOST:8001/callback"},
        {"redirect_uri": "http://localhost:8002/callback"},
        {"redirect_uri": "http://127.0.0.1:8001/callback"},
        {"redirect_uri": "http://localhost:8001/callback/../callback"},
        {"redirect_uri": "http://me@localhost:8001/callback"},
        {"redirect_uri": "http://localhost:8001@evil.example.com/callback"},
    ],
)
def test_nobody_is_redirected_to_an_unproven_address(
    browser: Browser, party: RelyingParty, changes: dict[str, str | None]
) -> None:
    assert is_page(browser.authorize(party, **changes))


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_repeated_proof_of_the_address_is_none(
    browser: Browser, party: RelyingParty, name: str
) -> None:
    pairs = [*party.request().items(), (name, party.request()[name])]
    assert is_page(browser.http.get("/authorize?" + urlencode(pairs)))


def test_a_client_without_redirects_gets_no_answer(provider: Running, browser: Browser) -> None:
    assert is_page(browser.authorize(RelyingParty(provider, "demo-bot")))


# Native clients (RFC 8252)


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://127.0.0.1/callback",
        "http://127.0.0.1:49152/callback",
        "http://[::1]:61023/callback",
        "com.example.demo:/callback",
    ],
)
def test_a_native_client_returns_to_any_port_of_its_loopback_and_to_its_scheme(
    provider: Running, browser: Browser, redirect_uri: str
) -> None:
    native = RelyingParty(provider, "demo-native", redirect_uri)
    tokens = browser.tokens(native, new_phone())
    assert "access_token" in tokens


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://localhost:49152/callback",
        "http://127.0.0.2:49152/callback",
        "http://127.0.0.1:49152/other",
        "http://127.0.0.1:49152/callback?more=1",
        "https://127.0.0.1:49152/callback",
        "http://127.0.0.1:port/callback",
        "http://127.0.0.1:49152@evil.example.com/callback",
        "com.example.demo:/other",
    ],
)
def test_a_native_client_returns_to_nothing_else(
    provider: Running, browser: Browser, redirect_uri: str
) -> None:
    assert is_page(browser.authorize(RelyingParty(provider, "demo-native", redirect_uri)))


# The response


def test_every_response_names_its_issuer_and_state(browser: Browser, party: RelyingParty) -> None:
    refused = parameters_of(browser.authorize(party, prompt="none"))
    granted = browser.sign_in(party, new_phone())
    for response in (refused, granted):
        assert response["iss"] == browser.provider.issuer
        assert response["state"] == party.state
    assert granted.keys() == {"code", "state", "iss"}


def test_a_request_without_state_is_answered_without(browser: Browser, party: RelyingParty) -> None:
    assert "state" not in browser.sign_in(party, new_phone(), state=None)


@pytest.mark.parametrize("state", ["a b+c&d=e%20#f", "состояние", '\' onload="x" <b>'])
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_a_state_comes_back_as_it_was(
    browser: Browser, party: RelyingParty, mode: str, state: str
) -> None:
    response = browser.authorize(party, prompt="none", state=state, response_mode=mode)
    fields = hidden_fields(response.text) if mode == "form_post" else parameters_of(response)
    assert fields["state"] == state


def test_the_query_is_the_default_response_mode(browser: Browser, party: RelyingParty) -> None:
    location = browser.authorize(party, prompt="none").headers["location"]
    assert location.startswith(f"{DEMO_CALLBACK}?")


@pytest.mark.parametrize(("mode", "mark"), [("query", "?"), ("fragment", "#")])
def test_a_redirect_carries_the_code_where_the_client_wants_it(
    browser: Browser, party: RelyingParty, mode: str, mark: str
) -> None:
    browser.authorize(party, response_mode=mode)
    browser.prove(new_phone())
    response = browser.submit("profile", given_name="Анна", terms="accepted")
    assert response.status_code == 303
    address, found, carried = response.headers["location"].partition(mark)
    assert (address, found) == (DEMO_CALLBACK, mark)
    assert dict(parse_qsl(carried)).keys() == {"code", "state", "iss"}


def test_a_form_post_carries_the_code_in_a_form(browser: Browser, party: RelyingParty) -> None:
    browser.authorize(party, response_mode="form_post")
    browser.prove(new_phone())
    page = browser.submit("profile", given_name="Анна", terms="accepted")
    assert page.status_code == 200
    assert f'action="{DEMO_CALLBACK}"' in page.text
    fields = hidden_fields(page.text)
    assert fields.keys() == {"code", "state", "iss"}
    assert party.redeem(fields["code"]).status_code == 200
    # Chromium would apply it to the redirects after the form.
    policy = page.headers["content-security-policy"]
    assert "form-action" not in policy
    assert "script-src 'self' 'nonce-" in policy


def test_an_error_takes_the_response_mode_too(browser: Browser, party: RelyingParty) -> None:
    page = browser.authorize(party, response_mode="form_post", scope="profile")
    assert page.status_code == 200
    assert hidden_fields(page.text)["error"] == "invalid_scope"
    fragment = browser.authorize(party, response_mode="fragment", scope="profile")
    assert "#error=invalid_scope" in fragment.headers["location"]


def test_an_unknown_response_mode_is_refused(browser: Browser, party: RelyingParty) -> None:
    assert error_of(browser.authorize(party, response_mode="web_message")) == "invalid_request"


# The request


@pytest.mark.parametrize(
    "response_type", ["token", "id_token", "code id_token", "none", "code code"]
)
def test_only_a_code_is_given(browser: Browser, party: RelyingParty, response_type: str) -> None:
    response = browser.authorize(party, response_type=response_type)
    assert error_of(response) == "unsupported_response_type"


@pytest.mark.parametrize("name", ["response_type", "scope"])
def test_a_missing_parameter_is_refused(browser: Browser, party: RelyingParty, name: str) -> None:
    assert error_of(browser.authorize(party, **{name: None})) == "invalid_request"
    # RFC 6749 3.1: sent without a value is as good as omitted.
    assert error_of(browser.authorize(party, **{name: ""})) == "invalid_request"


def test_unknown_parameters_and_scopes_are_ignored(browser: Browser, party: RelyingParty) -> None:
    answer = browser.tokens(party, new_phone(), scope="openid read:mail phone", utm_source="mail")
    assert answer["scope"] == "openid phone"


@pytest.mark.parametrize("name", ["state", "scope", "nonce", "unknown"])
def test_a_repeated_parameter_is_refused(browser: Browser, party: RelyingParty, name: str) -> None:
    pairs = [*party.request(unknown="1").items(), (name, "2")]
    response = browser.http.get("/authorize?" + urlencode(pairs))
    assert error_of(response) == "invalid_request"


@pytest.mark.parametrize("name", ["request", "request_uri"])
def test_request_objects_are_refused_by_name(
    browser: Browser, party: RelyingParty, name: str
) -> None:
    response = browser.authorize(party, **{name: "https://app.example.com/request.jwt"})
    assert error_of(response) == f"{name}_not_supported"


@pytest.mark.parametrize("scope", ["profile", "openid\tphone", 'openid "phone"', "openid  phone"])
def test_a_scope_without_openid_or_out_of_form_is_refused(
    browser: Browser, party: RelyingParty, scope: str
) -> None:
    assert error_of(browser.authorize(party, scope=scope)) == "invalid_scope"


def test_a_scope_that_the_client_is_not_registered_for_is_refused(
    provider: Running, browser: Browser
) -> None:
    callback = "https://lugavitsa.example.com/auth/callback"
    site = RelyingParty(provider, "lugavitsa-site", callback, scope="openid address")
    assert error_of(browser.authorize(site)) == "invalid_scope"


# Refresh tokens


@pytest.mark.parametrize(("scope", "given"), [("openid", False), ("openid offline_access", True)])
def test_by_default_only_offline_access_gives_a_refresh_token(
    provider: Running, browser: Browser, *, scope: str, given: bool
) -> None:
    party = RelyingParty(provider, "demo-rs256", scope=scope)
    tokens = browser.tokens(party, new_phone())
    assert ("refresh_token" in tokens) is given
    assert tokens["scope"] == scope


def test_a_client_whose_policy_says_so_gets_a_refresh_token_without_offline_access(
    browser: Browser, party: RelyingParty
) -> None:
    tokens = browser.tokens(party, new_phone())
    assert "refresh_token" in tokens
    assert "offline_access" not in tokens["scope"]


# By POST


def test_a_request_by_post_comes_again_by_get_with_its_cookies(
    browser: Browser, party: RelyingParty
) -> None:
    browser.sign_in(party, new_phone())
    # The cookie is SameSite=Lax: a cross-site POST comes without it.
    with browser.provider.client() as cross_site:
        posted = cross_site.post("/authorize", data=party.request())
    assert posted.status_code == 303
    assert "set-cookie" not in posted.headers
    answered = browser.http.get(posted.headers["location"])
    assert parameters_of(answered).keys() == {"code", "state", "iss"}


def test_a_request_by_post_begins_a_sign_in(browser: Browser, party: RelyingParty) -> None:
    posted = browser.http.post("/authorize", data=party.request())
    browser.arrive(browser.http.get(posted.headers["location"]))
    response = browser.prove(new_phone())
    assert response.headers["location"].endswith("/profile")


def test_a_fault_in_a_post_is_told_at_once(browser: Browser, party: RelyingParty) -> None:
    assert is_page(browser.http.post("/authorize", data=party.request(client_id="nobody")))
    refused = browser.http.post("/authorize", data=party.request(scope="phone"))
    assert error_of(refused) == "invalid_scope"


def test_a_request_that_nobody_posted_is_a_page(browser: Browser) -> None:
    assert is_page(browser.http.get("/authorize/continue?request_id=nothing"))


# What the pages show


def test_a_login_hint_is_filled_in_and_nothing_is_sent(
    browser: Browser, party: RelyingParty
) -> None:
    phone = new_phone()
    browser.authorize(party, login_hint=phone)
    assert f'value="{phone}"' in browser.get("phone").text
    assert browser.provider.messages_for(phone) == []


def test_a_login_hint_cannot_write_the_page(browser: Browser, party: RelyingParty) -> None:
    hint = '"><script>alert(1)</script>'
    browser.authorize(party, login_hint=hint)
    page = browser.get("phone").text
    assert hint not in page
    assert html.escape(hint, quote=False).replace('"', "&#34;") in page


@pytest.mark.parametrize(
    ("ui_locales", "accepted", "language"),
    [
        (None, None, "en"),  # the demo channel's own
        (None, "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        (None, "de-DE,en;q=0.5,ru;q=0.7", "ru"),
        ("ru", "en", "ru"),
        ("de fr-CA en-GB ru", None, "en"),
        ("de", "ru", "ru"),
        ("xx", "xx", "en"),
    ],
)
def test_a_page_speaks_as_the_client_wishes_or_the_browser_prefers(
    browser: Browser,
    party: RelyingParty,
    ui_locales: str | None,
    accepted: str | None,
    language: str,
) -> None:
    browser.http.headers.pop("accept-language", None)
    if accepted is not None:
        browser.http.headers["accept-language"] = accepted
    browser.authorize(party, ui_locales=ui_locales)
    assert f'<html lang="{language}">' in browser.get("phone").text


def test_a_page_bears_the_brand_of_the_clients_channel(provider: Running, browser: Browser) -> None:
    callback = "https://lugavitsa.example.com/auth/callback"
    site = RelyingParty(provider, "lugavitsa-site", callback, scope="openid")
    browser.authorize(site)
    page = browser.get("phone").text
    assert "Лугавица" in page
    assert browser.http.get("/channels/lugavitsa-site/logo.svg").status_code == 200
    assert "/channels/lugavitsa-site/logo.svg" in page


def test_an_unknown_display_is_refused(browser: Browser, party: RelyingParty) -> None:
    assert error_of(browser.authorize(party, display="hologram")) == "invalid_request"


# Turning back


def test_a_customer_who_cancels_is_access_denied(browser: Browser, party: RelyingParty) -> None:
    browser.authorize(party)
    denied = browser.submit("cancel")
    assert parameters_of(denied) == {
        "error": "access_denied",
        "state": party.state,
        "iss": browser.provider.issuer,
    }
    assert urlsplit(denied.headers["location"]).path == "/callback"


def test_a_cancelled_sign_in_stays_cancelled(browser: Browser, party: RelyingParty) -> None:
    browser.authorize(party)
    browser.submit("phone", phone=(phone := new_phone()))
    code = browser.provider.code_for(phone)
    browser.submit("cancel")
    assert error_of(browser.get("code")) == "access_denied"
    assert is_page(browser.submit("code", code=code))
    assert is_page(browser.submit("phone", phone=phone))
