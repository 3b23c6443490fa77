"""A library that knows nothing of us, over a real socket: Authlib and its ID token rules."""

import secrets
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client
from authlib.oidc.core import CodeIDToken, UserInfo
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.http.provider import (
    DEMO_CALLBACK,
    SCOPE,
    Browser,
    Running,
    new_phone,
    parameters_of,
)


class Library:
    """Authlib, configured by discovery and by what a client is registered with."""

    def __init__(self, provider: Running, client_id: str) -> None:
        with provider.client() as plain:
            document = plain.get("/.well-known/openid-configuration").json()
            self.keys = KeySet.import_key_set(plain.get(document["jwks_uri"]).json())
        self.metadata: dict[str, str] = document
        method = "client_secret_basic" if client_id == "demo" else "client_secret_post"
        self.client_id = client_id
        self.client = OAuth2Client(
            client_id,
            provider.secret(client_id),
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            scope=SCOPE + " offline_access",
            redirect_uri=DEMO_CALLBACK,
            code_challenge_method="S256",
            trust_env=False,
            verify=provider.tls,
            token_endpoint=document["token_endpoint"],
        )

    def sign_in(self, browser: Browser, phone: str) -> dict[str, Any]:
        """The code flow with PKCE and nonce; the validated claims of the ID token."""
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(12)
        url, state = self.client.create_authorization_url(
            self.metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
        )
        browser.arrive(browser.http.get(url))
        response = browser.prove(phone)
        if response.headers["location"].endswith("/profile"):
            response = browser.submit("profile", given_name="Анна", terms="accepted")
        assert parameters_of(response)["iss"] == self.metadata["issuer"]
        token = self.client.fetch_token(
            authorization_response=response.headers["location"],
            state=state,
            code_verifier=verifier,
        )
        return self.validated(token, nonce)

    def validated(self, token: dict[str, Any], nonce: str | None) -> dict[str, Any]:
        """The claims of an ID token, as far as Authlib and joserfc let it pass."""
        decoded = jwt.decode(token["id_token"], self.keys, algorithms=["ES256", "RS256"])
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": self.metadata["issuer"]},
                "aud": {"essential": True, "value": self.client_id},
                "at_hash": {"essential": True},
            },
            params={
                "client_id": self.client_id,
                "nonce": nonce,
                "access_token": token["access_token"],
            },
        )
        claims.validate()
        return {"alg": decoded.header["alg"], **claims}

    def userinfo(self) -> httpx2.Response:
        response: httpx2.Response = self.client.get(self.metadata["userinfo_endpoint"])
        return response


@pytest.fixture(params=["demo", "demo-rs256"])
def library(request: pytest.FixtureRequest, provider: Running) -> Iterator[Library]:
    made = Library(provider, request.param)
    yield made
    made.client.close()


def test_a_customer_signs_in(library: Library, browser: Browser) -> None:
    phone = new_phone()
    claims = library.sign_in(browser, phone)
    assert claims["alg"] == {"demo": "ES256", "demo-rs256": "RS256"}[library.client_id]
    userinfo = UserInfo(library.userinfo().json())
    assert userinfo.sub == claims["sub"]
    assert userinfo.phone_number == phone


def test_tokens_are_refreshed(library: Library, browser: Browser) -> None:
    claims = library.sign_in(browser, new_phone())
    before = dict(library.client.token)
    refreshed = library.client.refresh_token(library.metadata["token_endpoint"])
    assert refreshed["refresh_token"] != before["refresh_token"]
    assert library.validated(refreshed, None)["sub"] == claims["sub"]
    assert library.userinfo().status_code == 200


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
def test_tokens_are_revoked(library: Library, browser: Browser, name: str) -> None:
    library.sign_in(browser, new_phone())
    answer = library.client.revoke_token(
        library.metadata["revocation_endpoint"],
        token=library.client.token[name],
        token_type_hint=name,
    )
    assert answer.status_code == 200
    assert library.userinfo().status_code == 401


def test_the_client_logs_out(library: Library, browser: Browser) -> None:
    library.sign_in(browser, new_phone())
    asked = {
        "id_token_hint": library.client.token["id_token"],
        "post_logout_redirect_uri": "http://localhost:8001/",
        "state": "s",
    }
    answer = browser.http.get(library.metadata["end_session_endpoint"], params=asked)
    assert answer.headers["location"] == "http://localhost:8001/?state=s"


async def test_its_asynchronous_client_works_as_well(provider: Running, browser: Browser) -> None:
    library = Library(provider, "demo")
    library.sign_in(browser, new_phone())
    async with AsyncOAuth2Client(
        "demo",
        provider.secret("demo"),
        token=dict(library.client.token),
        token_endpoint=library.metadata["token_endpoint"],
        trust_env=False,
        verify=provider.tls,
    ) as client:
        await client.refresh_token(library.metadata["token_endpoint"])
        assert (await client.get(library.metadata["userinfo_endpoint"])).status_code == 200
    library.client.close()
