import json
from typing import Any

import httpx2
import pytest

from keys.signing import ALGORITHMS
from tests.http.provider import Browser, RelyingParty, Running, new_phone, parameters_of
from tests.http.provider import provider as run_provider

DOCUMENTS = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
ORIGIN = {"Origin": "https://app.example.com"}

# What each endpoint answers to a request that carries nothing.
ENDPOINTS = {
    "authorization_endpoint": ("GET", 400),
    "token_endpoint": ("POST", 400),
    "authorization_challenge_endpoint": ("POST", 401),
    "phone_otp_endpoint": ("POST", 401),
    "introspection_endpoint": ("POST", 401),
    "registration_endpoint": ("POST", 400),
    "revocation_endpoint": ("POST", 401),
    "userinfo_endpoint": ("GET", 401),
    "end_session_endpoint": ("GET", 200),
    "jwks_uri": ("GET", 200),
}
FOR_BROWSERS = {
    "/.well-known/openid-configuration": "GET",
    "/.well-known/oauth-authorization-server": "GET",
    "/jwks": "GET",
    "/token": "POST",
    "/revoke": "POST",
    "/userinfo": "GET",
    "/register": "POST",
}
NOT_FOR_BROWSERS = {
    "/authorize": "GET",
    "/authorize-challenge": "POST",
    "/logout": "GET",
    "/otp": "POST",
    "/livez": "GET",
}


@pytest.fixture(scope="module")
def metadata(provider: Running) -> dict[str, Any]:
    with provider.client() as client:
        found: dict[str, Any] = client.get(DOCUMENTS[0]).json()
    return found


def test_both_documents_say_the_same(provider: Running, metadata: dict[str, Any]) -> None:
    with provider.client() as client:
        documents = [client.get(path) for path in DOCUMENTS]
    assert [it.json() for it in documents] == [metadata, metadata]
    for document in documents:
        assert document.headers["content-type"] == "application/json"
        assert document.headers["cache-control"] == "public, max-age=300"


def test_the_issuer_is_the_configured_one(provider: Running, metadata: dict[str, Any]) -> None:
    assert metadata["issuer"] == provider.issuer


def test_every_endpoint_that_is_named_answers(provider: Running, metadata: dict[str, Any]) -> None:
    urls = {name: url for name, url in metadata.items() if name.endswith(("_endpoint", "_uri"))}
    assert urls.keys() == ENDPOINTS.keys()
    with provider.client() as client:
        for name, (method, status) in ENDPOINTS.items():
            assert urls[name].startswith(f"{provider.issuer}/")
            assert client.request(method, urls[name]).status_code == status, name


def test_the_keys_of_every_algorithm_are_published_without_their_private_parts(
    provider: Running, metadata: dict[str, Any]
) -> None:
    with provider.client() as client:
        response = client.get(metadata["jwks_uri"])
    keys = response.json()["keys"]
    by_use = {use: {key["alg"] for key in keys if key["use"] == use} for use in ("sig", "enc")}
    assert by_use["sig"] == {"ES256", "RS256", "PS256", "EdDSA", "ES384"}
    assert by_use["sig"] == set(metadata["id_token_signing_alg_values_supported"])
    assert by_use["enc"] == {"ECDH-ES"}
    assert len({key["kid"] for key in keys}) == len(keys)
    private = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
    assert not any(private & key.keys() for key in keys)
    assert response.headers["cache-control"] == "public, max-age=300"


def test_what_may_be_asked_of_id_tokens_may_be_asked_of_userinfo(metadata: dict[str, Any]) -> None:
    for response in ("id_token", "userinfo"):
        assert metadata[f"{response}_encryption_alg_values_supported"] == [
            "ECDH-ES",
            "RSA-OAEP-256",
        ]
        assert metadata[f"{response}_encryption_enc_values_supported"] == [
            "A128CBC-HS256",
            "A256GCM",
        ]
    signing = metadata["id_token_signing_alg_values_supported"]
    assert metadata["userinfo_signing_alg_values_supported"] == signing


def test_only_the_configured_algorithms_are_named_and_published() -> None:
    two = 'keys.algorithms = ["RS256", "ES256"]\n'
    with run_provider(toml=two) as running, running.client() as client:
        metadata = client.get(DOCUMENTS[0]).json()
        keys = client.get("/jwks").json()["keys"]
    for response in ("id_token", "userinfo"):
        assert metadata[f"{response}_signing_alg_values_supported"] == ["RS256", "ES256"]
    assert {key["alg"] for key in keys if key["use"] == "sig"} == {"RS256", "ES256"}


def test_every_response_mode_prompt_display_and_acr_that_is_named_is_understood(
    browser: Browser, party: RelyingParty, metadata: dict[str, Any]
) -> None:
    named = {
        "prompt": metadata["prompt_values_supported"],
        "display": metadata["display_values_supported"],
        "acr_values": metadata["acr_values_supported"],
        "ui_locales": metadata["ui_locales_supported"],
        "response_mode": metadata["response_modes_supported"],
        "response_type": metadata["response_types_supported"],
        "code_challenge_method": metadata["code_challenge_methods_supported"],
    }
    for parameter, values in named.items():
        for value in values:
            response = browser.authorize(party, **{parameter: value})
            asked = bool(browser.interaction)
            refused = not asked and parameters_of(response)["error"]
            assert asked or (value, refused) == ("none", "login_required")


def test_every_scope_that_is_named_is_granted(
    provider: Running, browser: Browser, metadata: dict[str, Any]
) -> None:
    party = RelyingParty(provider, scope=" ".join(metadata["scopes_supported"]))
    tokens = browser.tokens(party, new_phone())
    assert tokens["scope"].split() == metadata["scopes_supported"]


def test_every_claim_that_a_new_customer_has_is_named(
    browser: Browser, party: RelyingParty, metadata: dict[str, Any]
) -> None:
    everything = dict.fromkeys(metadata["claims_supported"])
    asked = json.dumps({"userinfo": everything, "id_token": everything})
    tokens = browser.tokens(party, new_phone(), claims=asked)
    userinfo = browser.provider.userinfo(tokens["access_token"]).json()
    assert {"sub", "name", "given_name", "phone_number", "phone_number_verified"} == set(userinfo)
    assert set(userinfo) < set(metadata["claims_supported"])


def test_what_is_refused_is_not_promised(metadata: dict[str, Any]) -> None:
    assert metadata["request_parameter_supported"] is False
    assert metadata["request_uri_parameter_supported"] is False
    assert metadata["grant_types_supported"] == [
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "urn:x5id:oauth:grant-type:phone-otp",
    ]


@pytest.mark.parametrize("endpoint", ["token", "revocation", "introspection"])
def test_how_clients_may_prove_themselves_is_said(metadata: dict[str, Any], endpoint: str) -> None:
    assert metadata[f"{endpoint}_endpoint_auth_methods_supported"] == [
        "none",
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
    ]
    # RFC 8414 2: required where assertions are accepted, and never none.
    assert set(metadata[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]) == {
        "HS256",
        *ALGORITHMS,
    }


@pytest.mark.parametrize("path", FOR_BROWSERS)
def test_scripts_of_any_origin_may_read_the_answer(provider: Running, path: str) -> None:
    with provider.client() as client:
        # An error too: a script that may not read it can only tell that "something" failed.
        response = client.request(FOR_BROWSERS[path], path, headers=ORIGIN)
        preflight = _preflight(client, path, FOR_BROWSERS[path])
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert FOR_BROWSERS[path] in preflight.headers["access-control-allow-methods"]
    assert "Authorization" in preflight.headers["access-control-allow-headers"]


@pytest.mark.parametrize("path", NOT_FOR_BROWSERS)
def test_scripts_may_not_read_what_is_no_business_of_theirs(provider: Running, path: str) -> None:
    with provider.client() as client:
        response = client.request(NOT_FOR_BROWSERS[path], path, headers=ORIGIN)
        preflight = _preflight(client, path, NOT_FOR_BROWSERS[path])
    assert "access-control-allow-origin" not in response.headers
    assert preflight.status_code == 405
    assert "access-control-allow-origin" not in preflight.headers


def _preflight(client: httpx2.Client, path: str, method: str) -> httpx2.Response:
    asked = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization",
    }
    return client.options(path, headers=ORIGIN | asked)
