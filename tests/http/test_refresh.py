from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.http.provider import Browser, OpenBrowser, RelyingParty, Running, claims_of, new_phone
from tests.http.provider import provider as run_provider


@pytest.fixture(scope="module")
def strict() -> Iterator[Running]:
    """A provider that forgives no repetition."""
    with run_provider(toml="[lifetimes]\nrefresh_grace_seconds = 0\n") as running:
        yield running


@pytest.fixture
def tokens(browser: Browser, party: RelyingParty) -> dict[str, Any]:
    return browser.tokens(party, new_phone())


def is_refused(response: httpx2.Response) -> bool:
    return response.status_code == 400 and response.json()["error"] == "invalid_grant"


def test_a_refresh_gives_new_tokens_for_the_same_grant(
    party: RelyingParty, tokens: dict[str, Any]
) -> None:
    refreshed = party.refresh(tokens["refresh_token"]).json()
    assert refreshed["refresh_token"] != tokens["refresh_token"]
    assert refreshed["access_token"] != tokens["access_token"]
    assert refreshed["scope"] == tokens["scope"]
    before, after = claims_of(tokens["id_token"]), claims_of(refreshed["id_token"])
    # OpenID Connect Core 12.2
    assert {"nonce"} == before.keys() - after.keys()
    for name in ("iss", "sub", "aud", "auth_time", "sid", "acr", "amr"):
        assert before[name] == after[name]


def test_the_access_token_before_stays_good(
    provider: Running, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    refreshed = party.refresh(tokens["refresh_token"]).json()
    for access_token in (tokens["access_token"], refreshed["access_token"]):
        assert provider.userinfo(access_token).status_code == 200


def test_a_repetition_within_the_grace_gives_the_same_successor(
    party: RelyingParty, tokens: dict[str, Any]
) -> None:
    first = party.refresh(tokens["refresh_token"]).json()
    second = party.refresh(tokens["refresh_token"]).json()
    assert first["refresh_token"] == second["refresh_token"]
    assert party.refresh(second["refresh_token"]).status_code == 200


def test_the_grace_ends_when_the_successor_is_used(
    provider: Running, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    second = party.refresh(tokens["refresh_token"]).json()
    third = party.refresh(second["refresh_token"]).json()
    assert is_refused(party.refresh(tokens["refresh_token"]))
    # The reuse has ended the whole family.
    assert is_refused(party.refresh(third["refresh_token"]))
    assert provider.userinfo(third["access_token"]).status_code == 401


def test_without_grace_any_repetition_ends_the_family(
    strict: Running, open_browser: OpenBrowser
) -> None:
    party, browser = RelyingParty(strict), open_browser(strict)
    tokens = browser.tokens(party, new_phone())
    successor = party.refresh(tokens["refresh_token"]).json()
    assert is_refused(party.refresh(tokens["refresh_token"]))
    assert is_refused(party.refresh(successor["refresh_token"]))
    assert strict.userinfo(successor["access_token"]).status_code == 401


def test_reuse_leaves_other_families_of_the_customer_alone(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    other = browser.tokens(party, "")
    second = party.refresh(tokens["refresh_token"]).json()
    party.refresh(second["refresh_token"])
    assert is_refused(party.refresh(tokens["refresh_token"]))
    assert party.refresh(other["refresh_token"]).status_code == 200


@pytest.mark.parametrize("client_id", ["demo-rs256", "demo-native"])
def test_another_client_can_neither_use_nor_end_a_family(
    provider: Running, party: RelyingParty, tokens: dict[str, Any], client_id: str
) -> None:
    thief = RelyingParty(provider, client_id)
    assert is_refused(thief.refresh(tokens["refresh_token"]))
    successor = party.refresh(tokens["refresh_token"]).json()
    assert is_refused(thief.refresh(tokens["refresh_token"]))
    assert party.refresh(successor["refresh_token"]).status_code == 200


def test_a_made_up_token_of_a_family_does_not_end_it(
    party: RelyingParty, tokens: dict[str, Any]
) -> None:
    family, _, rest = tokens["refresh_token"].partition(".")
    for made_up in ("nonsense", f"{family}.", f"{family}.{rest[::-1]}", f"{family}.{'A' * 43}"):
        assert is_refused(party.refresh(made_up))
    assert party.refresh(tokens["refresh_token"]).status_code == 200


# Scope


def test_a_refresh_may_ask_for_less(
    provider: Running, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    narrowed = party.refresh(tokens["refresh_token"], scope="openid").json()
    assert narrowed["scope"] == claims_of(narrowed["access_token"])["scope"] == "openid"
    assert provider.userinfo(narrowed["access_token"]).json().keys() == {"sub"}
    # RFC 6749 6: less was asked of this access token, the grant is what it was.
    assert party.refresh(narrowed["refresh_token"]).json()["scope"] == tokens["scope"]


def test_a_refresh_without_openid_has_no_id_token(
    provider: Running, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    narrowed = party.refresh(tokens["refresh_token"], scope="phone").json()
    assert "id_token" not in narrowed
    refused = provider.userinfo(narrowed["access_token"])
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


def test_a_refresh_may_not_ask_for_more(party: RelyingParty, tokens: dict[str, Any]) -> None:
    for scope in ("openid email", "openid offline_access", "unknown"):
        refused = party.refresh(tokens["refresh_token"], scope=scope)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")
    assert party.refresh(tokens["refresh_token"]).status_code == 200


# Session


def log_out(browser: Browser, tokens: dict[str, Any]) -> None:
    answer = browser.http.get("/logout", params={"id_token_hint": tokens["id_token"]})
    assert answer.status_code == 200


def test_a_refresh_token_ends_with_its_session(
    browser: Browser, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    log_out(browser, tokens)
    assert is_refused(party.refresh(tokens["refresh_token"]))


def test_offline_access_survives_logout(browser: Browser, party: RelyingParty) -> None:
    tokens = browser.tokens(party, new_phone(), scope="openid offline_access")
    log_out(browser, tokens)
    refreshed = party.refresh(tokens["refresh_token"])
    assert refreshed.status_code == 200
    assert browser.provider.userinfo(refreshed.json()["access_token"]).status_code == 200
