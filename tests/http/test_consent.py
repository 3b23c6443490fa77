"""Consent over HTTP: a partner gets what the customer allows, for as long as they do."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from typing import Any

import httpx2
import pytest

from tests.http.partner import NAME, PARTNER_SCOPE, partner
from tests.http.provider import (
    PHONE_OTP,
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    hidden_fields,
    new_phone,
    parameters_of,
)

ALL = ("profile", "phone", "email", "offline_access")
PROFILE = {"given_name": "Анна", "terms": "accepted"}
ACCOUNT = "/account/partners"


@pytest.fixture
def shop(provider: Running) -> RelyingParty:
    """A new partner."""
    return partner(provider)


@pytest.fixture
def phone(browser: Browser, party: RelyingParty) -> str:
    """The phone of a customer who has a profile."""
    number = new_phone()
    browser.sign_in(party, number)
    browser.http.cookies.clear()
    return number


@pytest.fixture
def signed_in(browser: Browser, party: RelyingParty, phone: str) -> Browser:
    """The browser of a customer who has a session from a channel of the group."""
    browser.sign_in(party, phone)
    return browser


def allow(browser: Browser, *scopes: str) -> httpx2.Response:
    return browser.submit("consent", **{f"allow_{scope}": "yes" for scope in scopes})


def answer(browser: Browser, *scopes: str) -> dict[str, str]:
    return parameters_of(allow(browser, *scopes))


def tokens(browser: Browser, shop: RelyingParty, *scopes: str, **request: Any) -> dict[str, Any]:
    """Ask, allow and redeem."""
    browser.authorize(shop, **request)
    response = shop.redeem(answer(browser, *scopes)["code"])
    assert response.status_code == 200
    told: dict[str, Any] = response.json()
    return told


def is_asked(browser: Browser, response: httpx2.Response) -> bool:
    return response.headers["location"] == f"{browser.interaction}/consent"


def code_at_once(browser: Browser, shop: RelyingParty, **request: Any) -> str:
    """Single sign-on: a code, and nobody is asked."""
    return parameters_of(browser.authorize(shop, **request))["code"]


def consents(browser: Browser) -> list[dict[str, str]]:
    """The forms of the customer's page of partners."""
    page = browser.http.get(ACCOUNT)
    assert page.status_code == 200
    forms = re.findall(r"<form .*?</form>", page.text, re.DOTALL)
    return [hidden_fields(form) for form in forms]


def withdraw(browser: Browser, shop: RelyingParty) -> httpx2.Response:
    (fields,) = [it for it in consents(browser) if it["client_id"] == shop.client_id]
    return browser.http.post(f"{ACCOUNT}/withdraw", data=fields)


# Who is asked, and when


def test_nobody_is_asked_for_a_channel_of_the_group(
    signed_in: Browser, party: RelyingParty
) -> None:
    for prompt in (None, "consent"):
        assert "code" in parameters_of(signed_in.authorize(party, prompt=prompt))
    assert consents(signed_in) == []


def test_after_the_sign_in_a_customer_is_asked_and_has_a_session(
    browser: Browser, shop: RelyingParty, party: RelyingParty, phone: str
) -> None:
    browser.authorize(shop)

    response = browser.prove(phone)

    assert response.status_code == 303
    assert is_asked(browser, response)
    assert "session=" in response.headers["set-cookie"]
    assert "code" in parameters_of(browser.http.get("/authorize", params=party.request()))


def test_after_the_first_registration_a_customer_is_asked(
    browser: Browser, shop: RelyingParty
) -> None:
    browser.authorize(shop)
    browser.prove(new_phone())

    assert is_asked(browser, browser.submit("profile", **PROFILE))

    told = shop.redeem(answer(browser, *ALL)["code"]).json()
    assert told["scope"] == PARTNER_SCOPE


def test_who_is_signed_in_already_is_asked_at_once(signed_in: Browser, shop: RelyingParty) -> None:
    assert is_asked(signed_in, signed_in.authorize(shop))

    told = shop.redeem(answer(signed_in, *ALL)["code"]).json()

    assert told["scope"] == PARTNER_SCOPE
    assert "refresh_token" in told


def test_the_other_pages_lead_to_the_consent(signed_in: Browser, shop: RelyingParty) -> None:
    signed_in.authorize(shop)
    for page in ("phone", "code", "profile"):
        assert is_asked(signed_in, signed_in.get(page))
    assert is_asked(signed_in, signed_in.submit("phone", phone=new_phone()))
    assert is_asked(signed_in, signed_in.submit("code", code="000000"))
    assert is_asked(signed_in, signed_in.submit("profile", **PROFILE))


def test_before_the_sign_in_there_is_no_consent(browser: Browser, shop: RelyingParty) -> None:
    browser.authorize(shop)
    assert browser.get("consent").headers["location"] == f"{browser.interaction}/phone"
    assert allow(browser, *ALL).status_code == 400


def test_what_was_answered_is_remembered(signed_in: Browser, shop: RelyingParty) -> None:
    tokens(signed_in, shop, *ALL)

    told = shop.redeem(code_at_once(signed_in, shop)).json()

    assert told["scope"] == PARTNER_SCOPE


def test_the_next_sign_in_does_not_ask(
    signed_in: Browser, other_browser: Browser, shop: RelyingParty, phone: str
) -> None:
    tokens(signed_in, shop, *ALL)

    other_browser.authorize(shop)

    assert "code" in parameters_of(other_browser.prove(phone))


def test_more_than_before_is_asked_for(signed_in: Browser, shop: RelyingParty) -> None:
    tokens(signed_in, shop, "profile", scope="openid profile")
    assert code_at_once(signed_in, shop, scope="openid")

    assert is_asked(signed_in, signed_in.authorize(shop, scope="openid phone"))

    told = shop.redeem(answer(signed_in, "phone")["code"]).json()
    assert told["scope"] == "openid phone"
    told = shop.redeem(code_at_once(signed_in, shop, scope="openid profile phone")).json()
    assert told["scope"] == "openid profile phone"


def test_one_partners_consent_is_none_of_another(
    signed_in: Browser, provider: Running, shop: RelyingParty
) -> None:
    tokens(signed_in, shop, *ALL)
    assert is_asked(signed_in, signed_in.authorize(partner(provider)))


def test_prompt_consent_always_asks(signed_in: Browser, shop: RelyingParty) -> None:
    tokens(signed_in, shop, "profile")

    assert is_asked(signed_in, signed_in.authorize(shop, prompt="consent"))

    page = signed_in.get("consent").text
    ticked = re.findall(r'name="allow_(\w+)" type="checkbox" value="yes" checked', page)
    assert ticked == ["profile"]
    assert shop.redeem(answer(signed_in, *ALL)["code"]).json()["scope"] == PARTNER_SCOPE


def test_prompt_none_says_what_is_missing(
    browser: Browser, shop: RelyingParty, party: RelyingParty, phone: str
) -> None:
    def error(**request: str) -> str:
        return parameters_of(browser.authorize(shop, prompt="none", **request))["error"]

    assert error() == "login_required"
    browser.sign_in(party, phone)
    assert error() == "consent_required"
    tokens(browser, shop, "profile", scope="openid profile")
    assert error() == "consent_required"
    assert code_at_once(browser, shop, prompt="none", scope="openid profile")


def test_signing_in_anew_asks_for_no_consent_that_is_there(
    signed_in: Browser, shop: RelyingParty, phone: str
) -> None:
    tokens(signed_in, shop, *ALL)
    signed_in.authorize(shop, prompt="login")
    assert "code" in parameters_of(signed_in.prove(phone))


# What is granted


def test_what_was_unticked_is_not_granted(
    signed_in: Browser, provider: Running, shop: RelyingParty
) -> None:
    told = tokens(signed_in, shop, "profile")

    assert told["scope"] == "openid profile"
    assert "refresh_token" not in told
    claims = provider.userinfo(told["access_token"]).json()
    assert claims["given_name"] == "Анна"
    assert "phone_number" not in claims
    told = shop.redeem(code_at_once(signed_in, shop)).json()
    assert told["scope"] == "openid profile"


def test_nothing_that_was_not_asked_for_is_granted(signed_in: Browser, shop: RelyingParty) -> None:
    told = tokens(signed_in, shop, *ALL, "address", "openid", "", scope="openid phone")
    assert told["scope"] == "openid phone"


def test_the_claims_parameter_brings_nothing_that_was_unticked(
    signed_in: Browser, provider: Running, shop: RelyingParty, phone: str
) -> None:
    asked = json.dumps(
        {
            "userinfo": {"phone_number": {"essential": True}, "given_name": None},
            "id_token": {"phone_number": None, "given_name": None},
        }
    )

    told = tokens(signed_in, shop, "profile", scope="openid", claims=asked)

    assert told["scope"] == "openid"
    for claims in (provider.userinfo(told["access_token"]).json(), claims_of(told["id_token"])):
        assert claims["given_name"] == "Анна"
        assert "phone_number" not in claims
    assert is_asked(signed_in, signed_in.authorize(shop, claims=asked, prompt="consent"))
    told = shop.redeem(answer(signed_in, "profile", "phone")["code"]).json()
    assert claims_of(told["id_token"])["phone_number"] == phone


def test_what_the_claims_parameter_names_is_asked_for(
    signed_in: Browser, shop: RelyingParty
) -> None:
    signed_in.authorize(shop, scope="openid", claims='{"id_token":{"phone_number":null}}')
    assert re.findall(r'name="allow_(\w+)"', signed_in.get("consent").text) == ["phone"]


def test_access_while_away_needs_no_prompt_but_the_customers_word(
    signed_in: Browser, shop: RelyingParty
) -> None:
    told = tokens(signed_in, shop, *ALL)
    signed_in.http.get("/logout", params={"id_token_hint": told["id_token"]})
    assert shop.refresh(told["refresh_token"]).status_code == 200


def test_a_partner_gets_no_refresh_token_by_policy(signed_in: Browser, provider: Running) -> None:
    shop = partner(provider, refresh_token_policy="always")
    assert "refresh_token" not in tokens(signed_in, shop, "profile", scope="openid profile")


def test_a_partner_cannot_use_the_phone_grant(provider: Running) -> None:
    shop = partner(provider, grant_types=["authorization_code", PHONE_OTP])
    response = shop.post("/otp", phone=new_phone())
    assert (response.status_code, response.json()["error"]) == (400, "unauthorized_client")


# Decisions


def test_a_refusal_is_told_to_the_partner(signed_in: Browser, shop: RelyingParty) -> None:
    signed_in.authorize(shop)

    for _ in range(2):
        told = parameters_of(signed_in.submit("cancel"))
        assert (told["error"], told["state"]) == ("access_denied", shop.state)

    assert answer(signed_in, *ALL)["error"] == "access_denied"
    assert consents(signed_in) == []


def test_many_decisions_at_once_are_one(signed_in: Browser, shop: RelyingParty) -> None:
    signed_in.authorize(shop)
    fields = hidden_fields(signed_in.get("consent").text) | {"allow_profile": "yes"}
    cookies = dict(signed_in.http.cookies)

    def decide(_: int) -> str:
        with signed_in.provider.client(cookies=cookies) as client:
            response = client.post(f"{signed_in.interaction}/consent", data=fields)
        return parameters_of(response)["code"]

    with ThreadPoolExecutor(20) as pool:
        codes = set(pool.map(decide, range(40)))

    assert len(codes) == 1
    assert shop.redeem(codes.pop()).json()["scope"] == "openid profile"


def test_another_browser_decides_nothing(
    signed_in: Browser, other_browser: Browser, shop: RelyingParty
) -> None:
    signed_in.authorize(shop)
    fields = hidden_fields(signed_in.get("consent").text)

    path = f"{signed_in.interaction}/consent"
    assert other_browser.http.get(path).status_code == 400
    assert other_browser.http.post(path, data=fields).status_code == 403
    assert signed_in.http.post(path, data=fields | {"csrf": "x"}).status_code == 403
    assert consents(signed_in) == []


def test_who_has_signed_out_meanwhile_signs_in_again(
    signed_in: Browser, shop: RelyingParty
) -> None:
    signed_in.authorize(shop)
    old, fields = signed_in.interaction, hidden_fields(signed_in.get("consent").text)
    confirmation = hidden_fields(signed_in.http.get("/logout").text)
    signed_in.http.post("/logout/confirm", data=confirmation)

    response = signed_in.arrive(signed_in.http.post(f"{old}/consent", data=fields))

    assert signed_in.interaction != old
    assert response.headers["location"] == f"{signed_in.interaction}/phone"


def test_a_decision_after_the_end_of_the_interaction_begins_anew(
    hasty: Running, open_browser: OpenBrowser
) -> None:
    browser, shop = open_browser(hasty), partner(hasty)
    browser.sign_in(RelyingParty(hasty), new_phone())
    browser.authorize(shop)
    old = browser.interaction
    fields = hidden_fields(browser.get("consent").text)
    time.sleep(5)

    response = browser.arrive(browser.http.post(f"{old}/consent", data=fields))

    assert response.headers["location"].endswith("/phone")
    assert browser.interaction != old


def test_going_back_after_the_decision_asks_no_more(signed_in: Browser, shop: RelyingParty) -> None:
    signed_in.authorize(shop)
    first = answer(signed_in, *ALL)["code"]
    assert answer(signed_in, "profile")["code"] == first
    shop.redeem(first)

    assert parameters_of(signed_in.get("consent"))["code"] != first


# Pages


def test_the_page_says_who_asks_and_for_what(signed_in: Browser, shop: RelyingParty) -> None:
    signed_in.http.headers["Accept-Language"] = "en"
    signed_in.authorize(shop)

    page = signed_in.get("consent")

    text = unescape(page.text)
    assert NAME["en"] in text
    assert "Unverified partner" in text
    for host in ("corner.example", "terms.corner.example"):
        assert f"({host})" in text
    links = re.findall(r'<a href="https://[^>]*>', text)
    assert len(links) == 2
    assert all('rel="noopener noreferrer nofollow"' in link for link in links)
    assert "<img" not in text
    csp = page.headers["content-security-policy"]
    assert "img-src 'self';" in csp
    assert "form-action 'self' http://localhost:8001" in csp


def test_the_pages_before_say_whose_request_it_is(browser: Browser, provider: Running) -> None:
    for verified, marks in ((True, {"verified"}), (False, {"unverified"})):
        shop = partner(provider, verified=verified)
        browser.authorize(shop, ui_locales="ru")
        number = new_phone()
        for page in ("phone", "code"):
            text = browser.get(page).text
            assert NAME["ru"] in text
            assert set(re.findall(r'class="badge badge-(\w+)"', text)) == marks
            browser.submit("phone", phone=number)


def test_who_registers_accepts_no_terms_of_a_partners(browser: Browser, shop: RelyingParty) -> None:
    browser.authorize(shop)
    browser.prove(new_phone())
    form = re.search(r"<form .*?</form>", browser.get("profile").text, re.DOTALL)
    assert form is not None
    assert "corner.example" not in form[0]


def test_what_a_partner_calls_itself_stays_text(signed_in: Browser, provider: Running) -> None:
    shop = partner(provider, client_name="</bdi><script>x")
    tokens(signed_in, shop, *ALL)
    signed_in.http.headers["Accept-Language"] = "en"
    signed_in.authorize(shop, ui_locales="en", prompt="consent")
    for text in (signed_in.get("consent").text, signed_in.http.get(ACCOUNT).text):
        assert "<script>x" not in text
        assert "&lt;script&gt;x" in text


# Withdrawal


def test_a_withdrawal_ends_what_the_partner_has_and_nothing_else(
    signed_in: Browser, provider: Running, shop: RelyingParty, party: RelyingParty
) -> None:
    other = partner(provider)
    mine, others = tokens(signed_in, shop, *ALL), tokens(signed_in, other, *ALL)
    pending = code_at_once(signed_in, shop)
    ours = party.redeem(parameters_of(signed_in.authorize(party))["code"]).json()

    response = withdraw(signed_in, shop)

    assert response.headers["location"] == f"{ACCOUNT}?withdrawn"
    assert provider.userinfo(mine["access_token"]).status_code == 401
    assert shop.refresh(mine["refresh_token"]).json()["error"] == "invalid_grant"
    assert shop.redeem(pending).json()["error"] == "invalid_grant"
    for held, client in ((others, other), (ours, party)):
        assert provider.userinfo(held["access_token"]).status_code == 200
        assert client.refresh(held["refresh_token"]).status_code == 200
    assert [it["client_id"] for it in consents(signed_in)] == [other.client_id]
    assert is_asked(signed_in, signed_in.authorize(shop))


def test_a_withdrawal_is_made_by_its_customer_alone(
    signed_in: Browser, other_browser: Browser, party: RelyingParty, shop: RelyingParty
) -> None:
    told = tokens(signed_in, shop, *ALL)
    (fields,) = consents(signed_in)
    other_browser.sign_in(party, new_phone())
    tokens(other_browser, shop, *ALL)
    (theirs,) = consents(other_browser)

    path = f"{ACCOUNT}/withdraw"
    assert other_browser.http.post(path, data=fields).status_code == 403
    stolen = fields | {"csrf": theirs["csrf"]}
    assert other_browser.http.post(path, data=stolen).status_code == 303

    assert signed_in.provider.userinfo(told["access_token"]).status_code == 200
    assert len(consents(other_browser)) == 1


def test_the_page_of_partners_tells_what_was_allowed(
    signed_in: Browser, provider: Running, shop: RelyingParty
) -> None:
    tokens(signed_in, shop, "phone")
    signed_in.http.headers["Accept-Language"] = "en"

    text = signed_in.http.get(ACCOUNT).text

    assert NAME["en"] in text
    items = re.findall(r"<li>(.*?)</li>", text)
    assert items == ["Account identifier", "Phone number"]
    assert re.search(r"Allowed on \d+ \w+ 20\d\d", text)


def test_without_a_session_the_page_of_partners_asks_to_sign_in(
    browser: Browser, signed_in: Browser
) -> None:
    del signed_in.http.cookies["session"]
    page = browser.http.get(ACCOUNT)
    assert page.status_code == 403
    assert "<form" not in page.text
