"""Services that ask in their own name (RFC 6749 4.4), resources (RFC 8707), and introspection."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.http.provider import (
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    header_of,
    new_phone,
    provider,
)

ORDERS = "https://api.example.com/orders"
CHANNEL = f"""
[[channels]]
id = "services"
name = "Services"
locale = "en"

[channels.brand]
name = {{ ru = "Службы", en = "Services" }}
color = "#0b7a4b"
logo = "logos/demo.svg"
terms_uri = "https://demo.example.com/terms"
privacy_uri = "https://demo.example.com/privacy"

[[channels.clients]]
client_id = "warehouse"
secret = {{ file = "warehouse" }}
grant_types = ["client_credentials"]
scope = ""
service_scope = "orders:read orders:write"
resources = ["{ORDERS}"]

[[channels.clients]]
client_id = "orders"
secret = {{ file = "orders" }}
grant_types = ["client_credentials"]
scope = ""
service_scope = "stock:read"
resource = "{ORDERS}"

[[channels.clients]]
client_id = "stranger"
secret = {{ file = "stranger" }}
grant_types = ["client_credentials"]
scope = ""
service_scope = "other"
resource = "https://api.example.com/other"

[[channels.clients]]
client_id = "shop"
secret = {{ file = "shop" }}
redirect_uris = ["http://localhost:8001/callback"]
grant_types = ["authorization_code", "refresh_token"]
refresh_token_policy = "always"
resources = ["{ORDERS}"]
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with provider(workers=2, channels=CHANNEL) as started:
        yield started


def ask(running: Running, client_id: str, **parameters: str) -> httpx2.Response:
    return RelyingParty(running, client_id=client_id).token(
        grant_type="client_credentials", **parameters
    )


def introspect(running: Running, client_id: str, token: str) -> dict[str, Any]:
    answer = RelyingParty(running, client_id=client_id).post("/introspect", token=token)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    described: dict[str, Any] = answer.json()
    return described


def test_a_service_gets_a_token_in_its_own_name_and_no_refresh_token(running: Running) -> None:
    answer = ask(running, "warehouse")

    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert body["scope"] == "orders:read orders:write"
    assert header_of(body["access_token"])["typ"] == "at+jwt"
    claims = claims_of(body["access_token"])
    assert (claims["sub"], claims["client_id"]) == ("warehouse", "warehouse")
    assert claims["aud"] == running.issuer
    assert "auth_time" not in claims


def test_a_service_may_ask_for_less_and_for_a_resource_of_its_own(running: Running) -> None:
    body = ask(running, "warehouse", scope="orders:read", resource=ORDERS).json()

    assert body["scope"] == "orders:read"
    claims = claims_of(body["access_token"])
    assert (claims["scope"], claims["aud"]) == ("orders:read", ORDERS)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"scope": "orders:delete"}, "invalid_scope"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "orders:read  orders:write"}, "invalid_scope"),
        ({"resource": "https://api.example.com/other"}, "invalid_target"),
        ({"resource": ORDERS + "/"}, "invalid_target"),
    ],
)
def test_what_a_service_may_not_ask_for_is_refused(
    running: Running, parameters: dict[str, str], error: str
) -> None:
    answer = ask(running, "warehouse", **parameters)

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_a_client_without_the_grant_is_refused(running: Running) -> None:
    answer = ask(running, "shop")

    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


def test_a_service_token_says_nothing_about_customers(running: Running) -> None:
    token = ask(running, "warehouse").json()["access_token"]

    answer = running.userinfo(token)

    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


def test_a_token_concerns_its_client_and_its_resource_and_nobody_else(running: Running) -> None:
    token = ask(running, "warehouse", resource=ORDERS).json()["access_token"]

    for client_id in ("warehouse", "orders"):
        described = introspect(running, client_id, token)
        assert described == {"active": True, "token_type": "Bearer"} | claims_of(token)
    for client_id in ("stranger", "demo"):
        assert introspect(running, client_id, token) == {"active": False}


@pytest.mark.parametrize("token", ["x", "a.b.c", "я", "x" * 9000])
def test_what_is_no_token_is_not_active(running: Running, token: str) -> None:
    assert introspect(running, "orders", token) == {"active": False}


def test_a_public_client_may_not_ask(running: Running) -> None:
    answer = RelyingParty(running, client_id="demo-native").post("/introspect", token="x")

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_token_that_was_revoked_is_not_active(running: Running) -> None:
    token = ask(running, "warehouse", resource=ORDERS).json()["access_token"]
    assert introspect(running, "orders", token)["active"]

    refused = RelyingParty(running, client_id="stranger").post("/revoke", token=token)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert introspect(running, "orders", token)["active"]

    for _ in range(2):
        answer = RelyingParty(running, client_id="warehouse").post("/revoke", token=token)
        assert answer.status_code == 200
    assert introspect(running, "orders", token) == {"active": False}


@pytest.fixture
def customer(running: Running, open_browser: OpenBrowser) -> tuple[Browser, dict[str, Any]]:
    browser = open_browser(running)
    party = RelyingParty(running, client_id="shop", scope="openid phone")
    code = browser.sign_in(party, new_phone())["code"]
    answer = party.redeem(code, resource=ORDERS)
    assert answer.status_code == 200, answer.text
    return browser, answer.json()


def test_a_customers_token_for_a_resource_is_for_nothing_else(
    running: Running, customer: tuple[Browser, dict[str, Any]]
) -> None:
    _, tokens = customer
    token = tokens["access_token"]

    assert claims_of(token)["aud"] == ORDERS
    described = introspect(running, "orders", token)
    assert described == {"active": True, "token_type": "Bearer"} | claims_of(token)
    assert introspect(running, "demo", token) == {"active": False}
    assert running.userinfo(token).status_code == 401


def test_a_customers_tokens_are_not_active_after_the_grant_has_ended(
    running: Running, customer: tuple[Browser, dict[str, Any]]
) -> None:
    _, tokens = customer
    refresh_token = tokens["refresh_token"]
    shown = introspect(running, "shop", refresh_token)
    assert shown["active"]
    assert shown["scope"] == "openid phone"
    assert introspect(running, "orders", refresh_token) == {"active": False}

    assert RelyingParty(running, client_id="shop").post("/revoke", token=refresh_token).is_success

    for token in (refresh_token, tokens["access_token"]):
        assert introspect(running, "shop", token) == {"active": False}


def test_asking_about_a_refresh_token_does_not_use_it(
    running: Running, customer: tuple[Browser, dict[str, Any]]
) -> None:
    _, tokens = customer
    party = RelyingParty(running, client_id="shop")
    introspect(running, "shop", tokens["refresh_token"])

    rotated = party.refresh(tokens["refresh_token"], resource=ORDERS).json()

    assert claims_of(rotated["access_token"])["aud"] == ORDERS
    assert introspect(running, "shop", tokens["refresh_token"]) == {"active": False}
    assert introspect(running, "shop", rotated["refresh_token"])["active"]


def test_a_wrong_resource_costs_no_code(running: Running, open_browser: OpenBrowser) -> None:
    browser = open_browser(running)
    party = RelyingParty(running, client_id="shop", scope="openid phone")
    code = browser.sign_in(party, new_phone())["code"]

    refused = party.redeem(code, resource="https://api.example.com/other")

    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")
    assert party.redeem(code).status_code == 200
