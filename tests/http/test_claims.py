"""The `claims` parameter (OpenID Connect Core 5.5) and the claims that scopes ask for."""

import json
from typing import Any

import pytest

from tests.http.provider import (
    Browser,
    RelyingParty,
    claims_of,
    new_phone,
    parameters_of,
)
from tests.http.provider import provider as run_provider

ACR = "urn:x5id:acr:phone-otp"


def answers(
    browser: Browser, party: RelyingParty, phone: str, claims: dict[str, Any], **changes: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The claims of the ID token and of userinfo, for a request with `claims`."""
    tokens = browser.tokens(party, phone, claims=json.dumps(claims), **changes)
    userinfo: dict[str, Any] = browser.provider.userinfo(tokens["access_token"]).json()
    return claims_of(tokens["id_token"]), userinfo


def refusal(browser: Browser, party: RelyingParty, claims: str) -> str:
    return parameters_of(browser.authorize(party, claims=claims))["error"]


def test_scopes_are_answered_at_userinfo_and_not_in_the_id_token(
    browser: Browser, party: RelyingParty
) -> None:
    phone = new_phone()
    id_token, userinfo = answers(browser, party, phone, {})
    assert "phone_number" not in id_token
    assert userinfo["phone_number"] == phone


def test_a_claim_of_the_id_token_needs_no_scope(browser: Browser, party: RelyingParty) -> None:
    phone = new_phone()
    asked = {"id_token": {"phone_number": {"essential": True}, "given_name": None}}
    id_token, userinfo = answers(browser, party, phone, asked, scope="openid")
    assert (id_token["phone_number"], id_token["given_name"]) == (phone, "Анна")
    assert userinfo.keys() == {"sub"}


def test_a_claim_of_userinfo_is_not_in_the_id_token(browser: Browser, party: RelyingParty) -> None:
    phone = new_phone()
    asked = {"userinfo": {"phone_number": {}, "family_name": {"essential": True}}}
    id_token, userinfo = answers(browser, party, phone, asked, scope="openid")
    assert "phone_number" not in id_token
    # An essential claim that is not known is left out; it is no error (5.5.1).
    assert userinfo == {"sub": id_token["sub"], "phone_number": phone}


def test_the_claims_stay_with_the_grant_when_it_is_refreshed(
    browser: Browser, party: RelyingParty
) -> None:
    phone = new_phone()
    asked = json.dumps({"id_token": {"phone_number": None}, "userinfo": {"given_name": None}})
    tokens = browser.tokens(party, phone, claims=asked, scope="openid")
    refreshed = party.refresh(tokens["refresh_token"]).json()
    assert claims_of(refreshed["id_token"])["phone_number"] == phone
    assert browser.provider.userinfo(refreshed["access_token"]).json()["given_name"] == "Анна"


@pytest.mark.parametrize(
    ("entry", "given"),
    [
        ({"value": "Анна"}, True),
        ({"value": "Мария"}, False),
        ({"values": ["Мария", "Анна"]}, True),
        ({"values": ["Мария"]}, False),
        ({"values": []}, False),
    ],
)
def test_a_claim_with_another_value_than_the_asked_one_is_left_out(
    browser: Browser, party: RelyingParty, *, entry: dict[str, Any], given: bool
) -> None:
    asked = {"userinfo": {"given_name": entry}, "id_token": {"given_name": entry}}
    id_token, userinfo = answers(browser, party, new_phone(), asked)
    assert ("given_name" in userinfo) is given
    assert ("given_name" in id_token) is given


def test_what_is_not_understood_is_ignored(browser: Browser, party: RelyingParty) -> None:
    asked: dict[str, Any] = {
        "userinfo": {"https://example.com/shoe_size": {"essential": True}},
        "id_token": {"favourite": None, "auth_time": {"essential": True}},
        "elsewhere": 1,
    }
    id_token, userinfo = answers(browser, party, new_phone(), asked, scope="openid")
    assert "favourite" not in id_token
    assert userinfo.keys() == {"sub"}


@pytest.mark.parametrize(
    "claims",
    [
        "nonsense",
        "[]",
        '{"userinfo": []}',
        '{"userinfo": {"name": 1}}',
        '{"id_token": {"acr": {"values": "one"}}}',
        '{"id_token": {"sub": {"value": 7}}}',
        '{"id_token": ' * 200 + "}" * 200,
    ],
)
def test_a_malformed_parameter_is_refused(
    browser: Browser, party: RelyingParty, claims: str
) -> None:
    assert refusal(browser, party, claims) == "invalid_request"


# acr


@pytest.mark.parametrize("entry", [{"value": "gold"}, {"values": ["gold", "platinum"]}])
def test_an_essential_acr_that_cannot_be_reached_is_refused(
    browser: Browser, party: RelyingParty, entry: dict[str, Any]
) -> None:
    asked = json.dumps({"id_token": {"acr": entry | {"essential": True}}})
    assert refusal(browser, party, asked) == "unmet_authentication_requirements"


@pytest.mark.parametrize(
    "entry", [{"values": ["gold"]}, {"essential": True}, {"essential": True, "values": ["x", ACR]}]
)
def test_any_other_acr_is_a_wish(
    browser: Browser, party: RelyingParty, entry: dict[str, Any]
) -> None:
    id_token, _ = answers(browser, party, new_phone(), {"id_token": {"acr": entry}})
    assert id_token["acr"] == ACR


def test_acr_values_are_a_wish(browser: Browser, party: RelyingParty) -> None:
    tokens = browser.tokens(party, new_phone(), acr_values="gold platinum")
    assert claims_of(tokens["id_token"])["acr"] == ACR
    assert claims_of(tokens["id_token"])["amr"] == ["otp", "sms"]


# sub


def test_only_the_customer_whom_the_claims_name_can_answer(
    browser: Browser, party: RelyingParty
) -> None:
    sub = claims_of(browser.tokens(party, new_phone())["id_token"])["sub"]
    asked = json.dumps({"id_token": {"sub": {"value": sub}}})
    assert "code" in browser.sign_in(party, "", prompt="none", claims=asked)
    other = browser.sign_in(party, new_phone(), prompt="login", claims=asked)
    assert other["error"] == "login_required"


def test_a_hint_and_claims_that_name_two_customers_are_refused(
    browser: Browser, party: RelyingParty
) -> None:
    hint = browser.tokens(party, new_phone())["id_token"]
    asked = json.dumps({"id_token": {"sub": {"value": "somebody else"}}})
    response = browser.authorize(party, claims=asked, id_token_hint=hint)
    assert parameters_of(response)["error"] == "invalid_request"


# A client of few scopes

NARROW = """
[[channels]]
id = "narrow"
name = "Narrow"
locale = "en"

[channels.brand]
name = { ru = "Узкий", en = "Narrow" }
color = "#123456"
logo = "logos/demo.svg"
terms_uri = "https://narrow.example.com/terms"
privacy_uri = "https://narrow.example.com/privacy"

[[channels.clients]]
client_id = "narrow"
client_name = "Narrow"
application_type = "native"
token_endpoint_auth_method = "none"
redirect_uris = ["http://127.0.0.1/callback"]
grant_types = ["authorization_code"]
scope = "openid"
"""


def test_claims_give_nothing_that_the_clients_scopes_would_not() -> None:
    wanted = {"phone_number": None, "name": None}
    claims = json.dumps({"userinfo": wanted, "id_token": wanted | {"acr": None}})
    with run_provider(channels=NARROW) as running:
        browser = Browser(running)
        party = RelyingParty(running, "narrow", "http://127.0.0.1/callback", "openid")
        code = browser.sign_in(party, new_phone(), claims=claims)["code"]
        with running.client() as client:
            tokens = client.post(
                "/token",
                data={
                    "grant_type": "authorization_code",
                    "client_id": "narrow",
                    "code": code,
                    "redirect_uri": party.redirect_uri,
                    "code_verifier": party.verifier,
                },
            ).json()
        told = claims_of(tokens["id_token"]) | running.userinfo(tokens["access_token"]).json()
        browser.http.close()
    assert not told.keys() & wanted.keys()
