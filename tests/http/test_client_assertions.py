"""`private_key_jwt` and `client_secret_jwt`: what proves a client, and what does not."""

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
from joserfc.jwk import ECKey, RSAKey

from keys.hashing import random_id
from keys.signing import ALGORITHMS, SigningKey
from tests.http.assertions import (
    ASSERTION_TYPE,
    ES256,
    REFRESH,
    claims,
    is_proven,
    mac,
    present,
    signed,
)
from tests.http.provider import DEMO_CALLBACK, Browser, Running, new_phone, parameters_of
from tests.http.registered import register
from tests.idp.stranger import said, stranger
from tests.keys.forging import BY_ALG

STRANGER = SigningKey.generate("ES256")
KEYS = {"keys": [dict(key.public_jwk) for key in BY_ALG.values()]}


@pytest.fixture(scope="module")
def by_key(provider: Running) -> str:
    """A client with a key of each algorithm."""
    client_id = f"by-key-{random_id()}"
    register(provider, client_id, token_endpoint_auth_method="private_key_jwt", jwks=KEYS)
    return client_id


@pytest.fixture(scope="module")
def by_mac(provider: Running) -> tuple[str, str]:
    """A client with a secret that is never sent."""
    client_id = f"by-mac-{random_id()}"
    secret = register(provider, client_id, token_endpoint_auth_method="client_secret_jwt")
    assert secret is not None
    return client_id, secret


# What proves a client


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_client_is_proven_by_a_key_of_each_algorithm(
    provider: Running, by_key: str, alg: str
) -> None:
    assert is_proven(present(provider, signed(claims(provider, by_key), BY_ALG[alg])))


def test_a_client_is_proven_by_the_mac_of_its_secret(
    provider: Running, by_mac: tuple[str, str]
) -> None:
    client_id, secret = by_mac
    assert is_proven(present(provider, mac(claims(provider, client_id), secret)))
    assert not is_proven(present(provider, mac(claims(provider, client_id), secret + "x")))


GOOD: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "for the token endpoint": lambda issuer, _: {"aud": f"{issuer}/token"},
    "for us alone, in a list": lambda issuer, _: {"aud": [issuer]},
    "without iat": lambda *_: {"iat": None},
    "with parts of a second": lambda _, now: {"exp": now + 59.5, "iat": now - 0.5},
    "made by a clock that is ahead": lambda _, now: {"iat": now + 20, "nbf": now + 20},
    "made by a clock that is behind": lambda _, now: {"iat": now - 200, "nbf": now - 200},
    "good for an hour from now": lambda _, now: {"exp": now + 3600},
    "with other claims": lambda *_: {"scope": "x", "cnf": {"jkt": "y"}, "имя": "Анна"},
}


@pytest.mark.parametrize("change", GOOD.values(), ids=GOOD)
def test_an_assertion_is_good(
    provider: Running, by_key: str, change: Callable[[str, int], dict[str, Any]]
) -> None:
    changed = change(provider.issuer, int(time.time()))
    assert is_proven(present(provider, signed(claims(provider, by_key, **changed))))


@pytest.mark.parametrize("typ", ["JWT", "client-authentication+jwt", None])
def test_a_type_that_libraries_write_is_good(
    provider: Running, by_key: str, typ: str | None
) -> None:
    assert is_proven(present(provider, signed(claims(provider, by_key), typ=typ)))


def test_the_client_may_name_itself_beside_the_assertion(provider: Running, by_key: str) -> None:
    assertion = signed(claims(provider, by_key))
    assert is_proven(present(provider, assertion, client_id=by_key))


@pytest.mark.parametrize("path", ["/revoke", "/otp"])
def test_every_endpoint_that_knows_clients_takes_assertions(
    provider: Running, by_key: str, path: str
) -> None:
    good = present(provider, signed(claims(provider, by_key)), path, token="none")
    assert good.status_code == 200 or good.json()["error"] == "unauthorized_client"
    bad = present(provider, signed(claims(provider, by_key), by=STRANGER), path, token="none")
    assert not is_proven(bad)


# What does not: wrong in one way each

WRONG_CLAIMS: dict[str, Callable[[str, int], dict[str, Any]]] = {
    "no iss": lambda *_: {"iss": None},
    "another iss": lambda *_: {"iss": "demo"},
    "no sub": lambda *_: {"sub": None},
    "another sub": lambda *_: {"sub": "demo"},
    "another client": lambda *_: {"iss": "demo", "sub": "demo"},
    "an unknown client": lambda *_: {"iss": "nobody", "sub": "nobody"},
    "a client that is no text": lambda *_: {"iss": 1, "sub": 1},
    "no aud": lambda *_: {"aud": None},
    "another aud": lambda *_: {"aud": "https://evil.example"},
    "aud is the client": lambda *_: {"aud": "demo"},
    "aud with a slash": lambda issuer, _: {"aud": f"{issuer}/"},
    "aud of another endpoint": lambda issuer, _: {"aud": f"{issuer}/userinfo"},
    "aud names others too": lambda issuer, _: {"aud": [issuer, "https://evil.example"]},
    "aud names us twice": lambda issuer, _: {"aud": [issuer, f"{issuer}/token"]},
    "aud is empty": lambda *_: {"aud": []},
    "aud is an object": lambda issuer, _: {"aud": {"aud": issuer}},
    "no exp": lambda *_: {"exp": None},
    "expired": lambda _, now: {"exp": now},
    "exp is text": lambda _, now: {"exp": str(now + 60)},
    "exp is true": lambda *_: {"exp": True},
    "exp is endless": lambda *_: {"exp": 10**400},
    "too far ahead": lambda _, now: {"iat": None, "exp": now + 600},
    "made too long ago": lambda _, now: {"iat": now - 400},
    "made in the future": lambda _, now: {"iat": now + 60, "exp": now + 120},
    "not good yet": lambda _, now: {"nbf": now + 60, "exp": now + 120},
    "iat is text": lambda *_: {"iat": "now"},
    "nbf is a list": lambda *_: {"nbf": []},
    "no jti": lambda *_: {"jti": None},
    "an empty jti": lambda *_: {"jti": ""},
    "jti is a number": lambda *_: {"jti": 1},
}


@pytest.mark.parametrize("change", WRONG_CLAIMS.values(), ids=WRONG_CLAIMS)
def test_an_assertion_with_wrong_claims_proves_nothing(
    provider: Running, by_key: str, change: Callable[[str, int], dict[str, Any]]
) -> None:
    changed = change(provider.issuer, int(time.time()))
    assert not is_proven(present(provider, signed(claims(provider, by_key, **changed))))


WRONG_HEADERS: dict[str, dict[str, Any]] = {
    "alg none": {"alg": "none"},
    "alg None": {"alg": "None"},
    "no alg": {"alg": None},
    "the alg of another key": {"alg": "RS256"},
    "an alg that nobody has": {"alg": "ES512"},
    "an unknown kid": {"kid": "unknown"},
    "typ of an access token": {"typ": "at+jwt"},
    "typ of a logout token": {"typ": "logout+jwt"},
    "critical": {"crit": ["exp"], "exp": 1},
    "a key of its own": {"by": STRANGER},
    "a key that it brings": {"by": STRANGER, "jwk": dict(STRANGER.public_jwk)},
    "a key that it brings by its kid": {
        "by": STRANGER,
        "kid": STRANGER.kid,
        "jwk": dict(STRANGER.public_jwk),
        "jku": "http://127.0.0.1:1/jwks",
        "x5u": "http://127.0.0.1:1/cert",
    },
}


@pytest.mark.parametrize("header", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_an_assertion_with_a_wrong_header_or_signature_proves_nothing(
    provider: Running, by_key: str, header: dict[str, Any]
) -> None:
    changed = dict(header)
    by = changed.pop("by", ES256)
    assert not is_proven(present(provider, signed(claims(provider, by_key), by=by, **changed)))


@pytest.mark.parametrize(
    "assertion", ["x", "x.y.z", "e30.e30.e30", "e30.e30.", ".", "%00", "x" * 9_000, "а.б.в"]
)
def test_what_is_no_assertion_proves_nothing(provider: Running, assertion: str) -> None:
    assert not is_proven(present(provider, assertion))


def test_another_client_id_beside_the_assertion_is_refused(provider: Running, by_key: str) -> None:
    assertion = signed(claims(provider, by_key))
    assert not is_proven(present(provider, assertion, client_id="demo"))


@pytest.mark.parametrize(
    "assertion_type",
    [
        "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        ASSERTION_TYPE.upper(),
        ASSERTION_TYPE + " ",
    ],
)
def test_another_type_of_assertion_is_refused(
    provider: Running, by_key: str, assertion_type: str
) -> None:
    assertion = signed(claims(provider, by_key))
    assert not is_proven(present(provider, assertion, client_assertion_type=assertion_type))


@pytest.mark.parametrize("missing", ["client_assertion", "client_assertion_type"])
def test_both_parameters_are_needed(provider: Running, by_key: str, missing: str) -> None:
    response = present(provider, signed(claims(provider, by_key)), **{missing: ""})
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_only_one_method_may_be_used(provider: Running, by_key: str) -> None:
    assertion = signed(claims(provider, by_key))
    by_post = present(provider, assertion, client_secret="x")
    given = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    with provider.client() as client:
        by_header = client.post("/token", data=REFRESH | given, auth=(by_key, "x"))
    for response in (by_post, by_header):
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


# The method that the client is registered for


def test_a_client_proves_itself_only_by_the_method_that_it_is_registered_for(
    provider: Running, by_key: str, by_mac: tuple[str, str]
) -> None:
    client_id, secret = by_mac
    assert not is_proven(present(provider, mac(claims(provider, by_key), secret)))
    assert not is_proven(present(provider, signed(claims(provider, client_id))))
    assert not is_proven(present(provider, mac(claims(provider, "demo"), provider.secret("demo"))))
    assert not is_proven(present(provider, mac(claims(provider, client_id), secret, "HS384")))
    with provider.client() as client:
        for named in (client_id, by_key):
            posted = client.post(
                "/token", data=REFRESH | {"client_id": named, "client_secret": secret}
            )
            nothing = client.post("/token", data=REFRESH | {"client_id": named})
            by_header = client.post("/token", data=REFRESH, auth=(named, secret))
            assert not is_proven(posted)
            assert not is_proven(nothing)
            assert by_header.json()["error"] == "invalid_client"


def test_the_public_key_is_no_secret_for_a_mac(provider: Running, by_key: str) -> None:
    for key in (json.dumps(KEYS["keys"][0]), json.dumps(KEYS), ""):
        assert not is_proven(present(provider, mac(claims(provider, by_key), key)))


def test_a_registered_algorithm_is_the_only_one(provider: Running) -> None:
    client_id = f"rs256-{random_id()}"
    register(
        provider,
        client_id,
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg="RS256",
        jwks=KEYS,
    )
    assert is_proven(present(provider, signed(claims(provider, client_id), BY_ALG["RS256"])))
    for alg in ("PS256", "ES256"):
        assert not is_proven(present(provider, signed(claims(provider, client_id), BY_ALG[alg])))


# Once


def test_an_assertion_is_good_once(provider: Running, by_key: str) -> None:
    assertion = signed(claims(provider, by_key))
    assert is_proven(present(provider, assertion))
    assert not is_proven(present(provider, assertion))
    assert not is_proven(present(provider, assertion, "/revoke", token="none"))


def test_what_was_not_proven_spends_nothing(provider: Running, by_key: str) -> None:
    jti = random_id()
    for wrong in ({"aud": "https://evil.example"}, {"exp": 1}):
        assert not is_proven(present(provider, signed(claims(provider, by_key, jti=jti, **wrong))))
    forged = signed(claims(provider, by_key, jti=jti), by=STRANGER)
    assert not is_proven(present(provider, forged))
    assert is_proven(present(provider, signed(claims(provider, by_key, jti=jti))))


async def test_of_many_requests_with_one_assertion_one_succeeds(
    provider: Running, by_key: str
) -> None:
    data = REFRESH | {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed(claims(provider, by_key)),
    }
    clients = [provider.async_client() for _ in range(200)]
    responses = await asyncio.gather(*(client.post("/token", data=data) for client in clients))
    await asyncio.gather(*(client.aclose() for client in clients))
    assert Counter(map(is_proven, responses)) == {True: 1, False: 199}


# Keys that the client publishes


async def post(provider: Running, assertion: str) -> httpx2.Response:
    async with provider.async_client() as client:
        given = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
        return await client.post("/token", data=REFRESH | given)


async def test_keys_are_taken_from_where_the_client_publishes_them(provider: Running) -> None:
    async with stranger(said(json.dumps(KEYS).encode())) as publisher:
        client_id = f"remote-{random_id()}"
        await asyncio.to_thread(
            register,
            provider,
            client_id,
            token_endpoint_auth_method="private_key_jwt",
            jwks_uri=f"http://127.0.0.1:{publisher.port}/jwks",
        )
        for alg in ("ES256", "RS256"):
            good = signed(claims(provider, client_id), BY_ALG[alg])
            assert is_proven(await post(provider, good))
        forged = signed(claims(provider, client_id), by=STRANGER)
        assert not is_proven(await post(provider, forged))
    # The two workers fetched it once each at most.
    assert 1 <= len(publisher.requests) <= 2


async def test_keys_that_cannot_be_had_prove_nothing(provider: Running) -> None:
    async with stranger(said(status="500 Oops")) as publisher:
        client_id = f"remote-{random_id()}"
        await asyncio.to_thread(
            register,
            provider,
            client_id,
            token_endpoint_auth_method="private_key_jwt",
            jwks_uri=f"http://127.0.0.1:{publisher.port}/jwks",
        )
        response = await post(provider, signed(claims(provider, client_id)))
    assert not is_proven(response)
    assert response.json()["error_description"] == "the keys at jwks_uri cannot be had"


# A library that knows nothing of us


def library(provider: Running, client_id: str, method: Any, credential: Any) -> OAuth2Client:
    client = OAuth2Client(
        client_id,
        credential,
        token_endpoint_auth_method=method.name,
        revocation_endpoint_auth_method=method.name,
        scope="openid phone offline_access",
        redirect_uri=DEMO_CALLBACK,
        code_challenge_method="S256",
        trust_env=False,
        verify=provider.tls,
        token_endpoint=f"{provider.issuer}/token",
    )
    client.register_client_auth_method(method)
    return client


def walk(provider: Running, browser: Browser, library_client: OAuth2Client) -> None:
    """Sign in, refresh, revoke."""
    with library_client as client:
        verifier = secrets.token_urlsafe(48)
        url, state = client.create_authorization_url(
            f"{provider.issuer}/authorize", code_verifier=verifier, prompt="consent"
        )
        browser.arrive(browser.http.get(url))
        response = browser.prove(new_phone())
        if response.headers["location"].endswith("/profile"):
            response = browser.submit("profile", given_name="Анна", terms="accepted")
        assert "code" in parameters_of(response)
        token = client.fetch_token(
            authorization_response=response.headers["location"], state=state, code_verifier=verifier
        )
        refreshed = client.refresh_token(
            f"{provider.issuer}/token", refresh_token=token["refresh_token"]
        )
        assert provider.userinfo(refreshed["access_token"]).status_code == 200
        client.revoke_token(f"{provider.issuer}/revoke", token=refreshed["refresh_token"])
        assert provider.userinfo(refreshed["access_token"]).status_code == 401


@pytest.mark.parametrize(
    ("alg", "key"),
    [("RS256", RSAKey.generate_key(2048)), ("ES256", ECKey.generate_key("P-256"))],
)
def test_authlib_proves_itself_by_a_key(
    provider: Running, browser: Browser, alg: str, key: RSAKey | ECKey
) -> None:
    client_id = f"authlib-{random_id()}"
    public = key.as_dict(private=False)
    register(
        provider,
        client_id,
        token_endpoint_auth_method="private_key_jwt",
        token_endpoint_auth_signing_alg=alg,
        jwks={"keys": [public]},
    )
    method = PrivateKeyJWT(f"{provider.issuer}/token", alg=alg)
    walk(provider, browser, library(provider, client_id, method, key))


def test_authlib_proves_itself_by_a_mac(
    provider: Running, browser: Browser, by_mac: tuple[str, str]
) -> None:
    client_id, secret = by_mac
    method = ClientSecretJWT(f"{provider.issuer}/token")
    walk(provider, browser, library(provider, client_id, method, secret))
