"""Authorization and logout requests that would lead a customer, or the store, astray."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.provider import (
    DEMO_CALLBACK,
    PHONE_OTP,
    Browser,
    RelyingParty,
    Running,
    hidden_fields,
    new_test_number,
    parameters_of,
)
from tests.http.wire import is_a_page_that_leads_nowhere, watched


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    with watched() as running:
        yield running


ALMOST = [
    "http://localhost:8001/callback/",
    "http://localhost:8001/Callback",
    "http://localhost:8001/callback?",
    "http://localhost:8001/callback?a=b",
    "http://localhost:8001/callback#",
    "http://localhost:8001/callback#fragment",
    "http://localhost:8001//callback",
    "http://localhost:8001/./callback",
    "http://localhost:8001/callback/../callback",
    "http://localhost:8001/%63allback",
    "http://localhost:8001/callback%20",
    "http://localhost:8001/callback ",
    " http://localhost:8001/callback",
    "http://localhost:8001/call\tback",
    "http://localhost:8001/callback\r\nSet-Cookie: a=b",
    "http://localhost:8002/callback",
    "http://localhost/callback",
    "http://localhost:08001/callback",
    "http://localhost.:8001/callback",
    "http://LOCALHOST:8001/callback",
    "HTTP://localhost:8001/callback",
    "https://localhost:8001/callback",
    "http://127.0.0.1:8001/callback",
    "http://user@localhost:8001/callback",
    "http://localhost:8001@evil.example/callback",
    "http://localhost:8001\\@evil.example/callback",
    "http://evil.example/?http://localhost:8001/callback",
    "http://localhost:8001.evil.example/callback",
    "//localhost:8001/callback",
    "/callback",
    "javascript:alert(1)//http://localhost:8001/callback",
    "data:text/html,http://localhost:8001/callback",
    "http://lo\u0441alhost:8001/callback",  # a Cyrillic letter
    "http://localhost:8001/callback\u200b",
]
ALMOST_NATIVE = [
    "http://127.0.0.1:/callback",
    "http://127.0.0.1:080/callback",
    "http://127.0.0.1:99999/callback",
    "http://127.0.0.1:-1/callback",
    "http://127.0.0.1:\u0661/callback",
    "http://127.0.0.1:80:80/callback",
    "http://127.0.0.1:80\t/callback",
    "http://127.0.0.1:8\n0/callback",
    "http://127.0.0.1:80/callback/",
    "http://127.0.0.1:80/callback?a=b",
    "http://127.0.0.1:80/callback#x",
    "http://127.0.0.1:80/%63allback",
    "http://127.0.0.1:80@evil.example/callback",
    "http://evil@127.0.0.1:80/callback",
    "http://@127.0.0.1:80/callback",
    "http://127.0.0.1.evil.example:80/callback",
    "http://127.0.0.2:80/callback",
    "http://127.1:80/callback",
    "http://0x7f000001:80/callback",
    "http://2130706433/callback",
    "http://localhost:80/callback",
    "https://127.0.0.1:80/callback",
    "http://[::1]:x/callback",
    "http://[::1/callback",
    "http://[::1]evil:80/callback",
    "http://[::1%25lo]:80/callback",
    "http://[0:0:0:0:0:0:0:1]:80/callback",
    "http://[::ffff:127.0.0.1]:80/callback",
    "com.example.demo:/callback/",
    "com.example.demo://callback",
    "com.example.demo:callback",
    "com.example.demo.evil:/callback",
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("client_id", "uri"),
    [("demo", uri) for uri in ALMOST] + [("demo-native", uri) for uri in ALMOST_NATIVE],
)
def test_an_address_that_is_almost_registered_gets_nothing(
    provider: Running, client_id: str, uri: str, method: str
) -> None:
    request = RelyingParty(provider, client_id).request(redirect_uri=uri)
    with provider.client() as client:
        if method == "GET":
            is_a_page_that_leads_nowhere(client.get("/authorize", params=request))
        else:
            is_a_page_that_leads_nowhere(client.post("/authorize", data=request))


@pytest.mark.parametrize("uri", [*ALMOST, DEMO_CALLBACK])
def test_a_logout_leads_to_no_address_that_is_almost_registered(
    provider: Running, uri: str
) -> None:
    almost = uri.replace("/callback", "/signed-out") if uri != DEMO_CALLBACK else uri
    request = {"client_id": "demo", "post_logout_redirect_uri": almost}
    with provider.client() as client:
        again = client.post("/logout", data=request).headers["location"]
        assert again.startswith("/logout?")
        for response in (
            client.get("/logout", params=request),
            client.get(again),
            client.get("/logout", params={"post_logout_redirect_uri": almost}),
        ):
            is_a_page_that_leads_nowhere(response)


@pytest.mark.parametrize("client_id", ["Demo", "demo ", "demo\u200b", "d%65mo", "x" * 9000, "'--"])
def test_an_unknown_client_gets_nothing(provider: Running, client_id: str) -> None:
    request = RelyingParty(provider).request(client_id=client_id)
    with provider.client() as client:
        is_a_page_that_leads_nowhere(client.get("/authorize", params=request))
        answer = client.post("/token", data={"grant_type": PHONE_OTP, "client_id": client_id})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("state", ["a\r\nSet-Cookie: b=c", '"><script>alert(1)</script>', "\u202e"])
@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_a_state_comes_back_as_a_value_and_nothing_more(
    browser: Browser, party: RelyingParty, state: str, mode: str
) -> None:
    response = browser.authorize(party, state=state, response_mode=mode, prompt="none")
    assert "set-cookie" not in response.headers
    assert "<script>alert" not in response.text
    if mode == "form_post":
        assert hidden_fields(response.text)["state"] == state
    else:
        assert parameters_of(response)["state"] == state


# The claims parameter: what the store cannot hold must not reach it


@pytest.mark.parametrize(
    "value",
    [
        str(2**64),
        str(-(2**63) - 1),
        "9" * 4000,
        "1e999",
        "NaN",
        '"\\ud800"',
        *("[" * depth + "]" * depth for depth in (1, 130, 900, 2000)),
        '{"a":' * 500 + "1" + "}" * 500,
        "[]",
        "{}",
    ],
)
@pytest.mark.parametrize("member", ["userinfo", "id_token"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_claim_that_is_asked_for_with_a_monster_is_refused(
    provider: Running, party: RelyingParty, value: str, member: str, method: str
) -> None:
    claims = f'{{"{member}":{{"name":{{"value":{value}}}}}}}'
    request = party.request(claims=claims)
    with provider.client() as client:
        if method == "GET":
            response = client.get("/authorize", params=request)
        else:
            response = client.post("/authorize", data=request)
    assert parameters_of(response)["error"] == "invalid_request"


def test_what_is_not_understood_in_claims_is_ignored(browser: Browser, party: RelyingParty) -> None:
    deep: Any = 2**70
    for _ in range(200):
        deep = [deep]
    claims = {"userinfo": {"name": {"x": deep, "\0": None}, "unknown": deep}, "other": deep}
    tokens = browser.tokens(party, new_test_number(), claims=json.dumps(claims))
    assert browser.provider.userinfo(tokens["access_token"]).json()["name"] == "Анна"
