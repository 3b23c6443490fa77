import time
from typing import Any

import httpx2
import pytest

from tests.http.provider import Browser, OpenBrowser, RelyingParty, Running, new_phone


@pytest.fixture
def tokens(browser: Browser, party: RelyingParty) -> dict[str, Any]:
    return browser.tokens(party, new_phone())


def revoke(party: RelyingParty, token: str | None, **changes: str) -> httpx2.Response:
    return party.post("/revoke", token=token, **changes)


def is_done(response: httpx2.Response) -> bool:
    return (response.status_code, response.content) == (200, b"")


def is_active(provider: Running, access_token: str) -> bool:
    return provider.userinfo(access_token).status_code == 200


def test_a_revoked_refresh_token_takes_its_grant_along(
    provider: Running, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    assert is_done(revoke(party, tokens["refresh_token"]))
    assert party.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert not is_active(provider, tokens["access_token"])


def test_any_token_of_the_family_will_do(
    provider: Running, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    successor = party.refresh(tokens["refresh_token"]).json()
    assert is_done(revoke(party, tokens["refresh_token"]))
    assert party.refresh(successor["refresh_token"]).json()["error"] == "invalid_grant"
    assert not is_active(provider, successor["access_token"])


def test_a_revoked_access_token_is_refused_at_once_and_alone(
    provider: Running, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    refreshed = party.refresh(tokens["refresh_token"]).json()
    assert is_done(revoke(party, tokens["access_token"]))
    assert not is_active(provider, tokens["access_token"])
    assert is_active(provider, refreshed["access_token"])
    assert party.refresh(refreshed["refresh_token"]).status_code == 200


def test_the_session_goes_on(browser: Browser, party: RelyingParty, tokens: dict[str, Any]) -> None:
    revoke(party, tokens["refresh_token"])
    assert "code=" in browser.authorize(party, prompt="none").headers["location"]


def test_the_hint_may_be_wrong(
    provider: Running, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    for hint in ("refresh_token", "saml2"):
        assert is_done(revoke(party, tokens["access_token"], token_type_hint=hint))
    assert not is_active(provider, tokens["access_token"])


def test_what_is_no_token_any_more_needs_no_revocation(
    provider: Running, party: RelyingParty, tokens: dict[str, Any]
) -> None:
    for token in ("nonsense", tokens["id_token"], *[tokens["refresh_token"]] * 2):
        assert is_done(revoke(party, token))


def test_an_expired_access_token_needs_none(hasty: Running, open_browser: OpenBrowser) -> None:
    party, browser = RelyingParty(hasty), open_browser(hasty)
    tokens = browser.tokens(party, new_phone())
    time.sleep(1.1)
    assert is_done(revoke(party, tokens["access_token"]))


@pytest.mark.parametrize("name", ["refresh_token", "access_token"])
def test_another_clients_token_is_not_revoked(
    provider: Running, tokens: dict[str, Any], name: str
) -> None:
    # RFC 7009 2.1: the client is told.
    refused = revoke(RelyingParty(provider, "demo-rs256"), tokens[name])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert is_active(provider, tokens["access_token"])


def test_a_public_client_may_revoke_its_own(provider: Running, browser: Browser) -> None:
    native = RelyingParty(provider, "demo-native", "http://127.0.0.1:5000/callback")
    tokens = browser.tokens(native, new_phone())
    assert is_done(revoke(native, tokens["refresh_token"]))
    assert not is_active(provider, tokens["access_token"])


def test_nobody_revokes_without_authentication(provider: Running, tokens: dict[str, Any]) -> None:
    token = {"token": tokens["access_token"]}
    with provider.client() as client:
        for refused in (
            client.post("/revoke", data=token),
            client.post("/revoke", data=token, auth=("demo", "wrong")),
            client.post("/revoke", data=token, auth=("nobody", "")),
        ):
            assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert is_active(provider, tokens["access_token"])


def test_a_request_without_a_token_is_refused(party: RelyingParty) -> None:
    refused = revoke(party, None)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
