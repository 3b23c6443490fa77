import pytest

from tests.http.provider import Browser, RelyingParty, Running, new_phone, parameters_of


@pytest.fixture
def native(provider: Running) -> RelyingParty:
    """A public client."""
    return RelyingParty(provider, "demo-native", "http://127.0.0.1:54321/callback")


def test_a_public_client_needs_it(browser: Browser, native: RelyingParty) -> None:
    response = browser.authorize(native, code_challenge=None, code_challenge_method=None)
    assert parameters_of(response)["error"] == "invalid_request"


def test_a_public_client_with_it_gets_tokens(browser: Browser, native: RelyingParty) -> None:
    tokens = browser.tokens(native, new_phone())
    assert {"access_token", "id_token", "refresh_token"} < tokens.keys()


def test_a_confidential_client_may_rely_on_its_nonce(browser: Browser, party: RelyingParty) -> None:
    code = browser.sign_in(party, new_phone(), code_challenge=None, code_challenge_method=None)
    response = party.redeem(code["code"], code_verifier=None)
    assert response.status_code == 200


def test_a_confidential_client_without_nonce_needs_it(
    browser: Browser, party: RelyingParty
) -> None:
    response = browser.authorize(party, code_challenge=None, code_challenge_method=None, nonce=None)
    assert parameters_of(response)["error"] == "invalid_request"


@pytest.mark.parametrize("method", ["plain", "S512", None])
def test_only_s256_protects(browser: Browser, party: RelyingParty, method: str | None) -> None:
    response = browser.authorize(party, code_challenge_method=method)
    assert parameters_of(response)["error"] == "invalid_request"


@pytest.mark.parametrize("challenge", ["short", "=" * 43, "a" * 44, None])
def test_a_challenge_is_a_sha_256(
    browser: Browser, party: RelyingParty, challenge: str | None
) -> None:
    response = browser.authorize(party, code_challenge=challenge)
    assert parameters_of(response)["error"] == "invalid_request"


@pytest.mark.parametrize("verifier", [None, "x" * 43])
def test_a_challenge_that_was_sent_is_always_checked(
    browser: Browser, party: RelyingParty, verifier: str | None
) -> None:
    code = browser.sign_in(party, new_phone())["code"]
    refused = party.redeem(code, code_verifier=verifier)
    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_grant"


def test_a_verifier_without_a_challenge_is_refused(browser: Browser, party: RelyingParty) -> None:
    code = browser.sign_in(party, new_phone(), code_challenge=None, code_challenge_method=None)
    refused = party.redeem(code["code"])
    assert refused.status_code == 400
    assert refused.json()["error"] == "invalid_grant"
