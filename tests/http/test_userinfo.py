import base64
import json
import time
from typing import Any

import httpx2
import pytest

from tests.http.provider import (
    SCOPE,
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    new_phone,
)


@pytest.fixture
def tokens(browser: Browser, party: RelyingParty) -> dict[str, Any]:
    return browser.tokens(party, new_phone())


def is_refused(response: httpx2.Response, error: str = "invalid_token") -> bool:
    challenge = response.headers["www-authenticate"]
    named = response.json()["error"] == error and f'error="{error}"' in challenge
    return named and challenge.startswith("Bearer ")


@pytest.mark.parametrize(
    ("scope", "claims"),
    [
        ("openid", set()),
        ("openid phone", {"phone_number", "phone_number_verified"}),
        ("openid profile", {"name", "given_name"}),
        ("openid email address", set()),
    ],
)
def test_the_scope_says_which_claims(
    browser: Browser, party: RelyingParty, scope: str, claims: set[str]
) -> None:
    tokens = browser.tokens(party, new_phone(), scope=scope)
    response = browser.provider.userinfo(tokens["access_token"])
    assert response.json().keys() == {"sub"} | claims
    assert response.json()["sub"] == claims_of(tokens["id_token"])["sub"]
    assert response.headers["cache-control"] == "no-store"


def test_the_token_comes_by_header_or_in_a_form(provider: Running, tokens: dict[str, Any]) -> None:
    token = tokens["access_token"]
    header = {"Authorization": f"Bearer {token}"}
    with provider.client() as client:
        answers = [
            client.get("/userinfo", headers=header),
            client.get("/userinfo", headers={"authorization": f"bearer {token}"}),
            client.post("/userinfo", headers=header),
            client.post("/userinfo", data={"access_token": token}),
        ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert all(answer.json() == answers[0].json() for answer in answers)


def test_two_ways_at_once_are_refused(provider: Running, tokens: dict[str, Any]) -> None:
    token = tokens["access_token"]
    with provider.client() as client:
        refused = client.post(
            "/userinfo",
            data={"access_token": token},
            headers={"Authorization": f"Bearer {token}"},
        )
    assert refused.status_code == 400
    assert is_refused(refused, "invalid_request")


def test_without_a_token_only_the_scheme_is_named(
    provider: Running, tokens: dict[str, Any]
) -> None:
    with provider.client() as client:
        for refused in (
            client.get("/userinfo"),
            client.get("/userinfo", params={"access_token": tokens["access_token"]}),
            client.get("/userinfo", auth=("demo", provider.secret("demo"))),
        ):
            # RFC 6750 3.1: no error code for whoever did not even try.
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == 'Bearer realm="idp"'
            assert refused.json() == {}


def test_what_is_no_access_token_of_ours_is_refused(
    provider: Running, tokens: dict[str, Any]
) -> None:
    head, payload, signature = tokens["access_token"].split(".")
    for token in (
        "nonsense",
        tokens["id_token"],
        tokens["refresh_token"],
        f"{head}.{payload}.{signature[:-8]}AAAAAAAA",
        f"{head}.{_forged(payload, sub='somebody else')}.{signature}",
        f"{_forged(head, alg='none')}.{payload}.",
        f"{_forged(head, alg='HS256')}.{payload}.{signature}",
    ):
        refused = provider.userinfo(token)
        assert refused.status_code == 401
        assert is_refused(refused)


def _forged(segment: str, **changes: str) -> str:
    members = json.loads(base64.urlsafe_b64decode(segment + "=="))
    return base64.urlsafe_b64encode(json.dumps(members | changes).encode()).rstrip(b"=").decode()


def test_an_expired_token_is_refused(hasty: Running, open_browser: OpenBrowser) -> None:
    browser = open_browser(hasty)
    tokens = browser.tokens(RelyingParty(hasty), new_phone())
    time.sleep(1.1)
    assert is_refused(hasty.userinfo(tokens["access_token"]))


def test_a_token_ends_with_its_session(browser: Browser, tokens: dict[str, Any]) -> None:
    browser.http.get("/logout", params={"id_token_hint": tokens["id_token"]})
    assert is_refused(browser.provider.userinfo(tokens["access_token"]))


def test_a_name_is_given_as_it_was_told(browser: Browser, party: RelyingParty) -> None:
    browser.authorize(party, scope=SCOPE)
    browser.prove(new_phone())
    answer = browser.submit(
        "profile", given_name="  Анна   Мария ", family_name="О’Нил <b>", terms="accepted"
    )
    code = httpx2.URL(answer.headers["location"]).params["code"]
    userinfo = browser.provider.userinfo(party.redeem(code).json()["access_token"]).json()
    assert userinfo["given_name"] == "Анна Мария"
    assert userinfo["family_name"] == "О’Нил <b>"
    assert userinfo["name"] == "Анна Мария О’Нил <b>"
