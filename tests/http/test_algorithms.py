"""Each algorithm that a client may register, as a relying party's own library meets it."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from authlib.oidc.core import CodeIDToken
from joserfc import jwe, jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jwt import Token

from keys.encryption import CONTENT_ENCRYPTION, KEY_MANAGEMENT
from keys.signing import ALGORITHMS
from tests.http.provider import (
    DEMO_CALLBACK,
    Browser,
    RelyingParty,
    Running,
    claims_of,
    header_of,
    new_phone,
    parameters_of,
)
from tests.http.provider import provider as run_provider
from tests.http.wire import is_a_page_that_leads_nowhere

# joserfc tells whoever uses RFC 8037's name that RFC 9864 has another one.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

PRIVATE: dict[str, Any] = {
    "ECDH-ES": ECKey.generate_key("P-256", {"kid": "agreement", "use": "enc"}),
    "RSA-OAEP-256": RSAKey.generate_key(2048, {"kid": "transport", "use": "enc"}),
}
JWKS = {"keys": [key.as_dict(private=False) for key in PRIVATE.values()]}
PAIRS = [(alg, enc) for alg in KEY_MANAGEMENT for enc in CONTENT_ENCRYPTION]


def registrations() -> dict[str, dict[str, Any]]:
    """The clients of these tests by their client_id, each with what it asks for."""
    clients: dict[str, dict[str, Any]] = {
        f"signed-{alg}": {"id_token_signed_response_alg": alg, "userinfo_signed_response_alg": alg}
        for alg in ALGORITHMS
    }
    for alg, enc in PAIRS:
        clients[f"encrypted-{alg}-{enc}"] = {
            "jwks": JWKS,
            "id_token_signed_response_alg": "EdDSA",
            "id_token_encrypted_response_alg": alg,
            "id_token_encrypted_response_enc": enc,
            "userinfo_signed_response_alg": "PS256",
            "userinfo_encrypted_response_alg": alg,
            "userinfo_encrypted_response_enc": enc,
        }
    clients["encrypted-only"] = {
        "jwks": JWKS,
        "id_token_encrypted_response_alg": "ECDH-ES",
        "userinfo_encrypted_response_alg": "RSA-OAEP-256",
    }
    return clients


def channels() -> str:
    """The channels file that registers them; for these members JSON values are TOML too."""
    text = """
[[channels]]
id = "relying"
name = "Relying parties"
locale = "en"

[channels.brand]
name = { ru = "Проверка", en = "Relying parties" }
color = "#123456"
logo = "logos/demo.svg"
terms_uri = "https://relying.example.com/terms"
privacy_uri = "https://relying.example.com/privacy"
"""
    for client_id, members in registrations().items():
        jwks = [
            "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in key.items()) + " }"
            for key in members.get("jwks", {"keys": []})["keys"]
        ]
        lines = {name: json.dumps(value) for name, value in members.items() if name != "jwks"}
        if jwks:
            lines["jwks"] = f"{{ keys = [{', '.join(jwks)}] }}"
        text += f"""
[[channels.clients]]
client_id = "{client_id}"
client_name = "{client_id}"
secret = {{ file = "{client_id}" }}
redirect_uris = ["{DEMO_CALLBACK}"]
post_logout_redirect_uris = ["http://localhost:8001/"]
grant_types = ["authorization_code", "refresh_token"]
refresh_token_policy = "always"
scope = "openid profile phone"
""" + "\n".join(f"{name} = {value}" for name, value in lines.items())
    return text


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    no_limit = "otp.sends_per_address = { burst = 1_000_000, period_seconds = 3600 }\n"
    with run_provider(toml=no_limit, channels=channels()) as running:
        yield running


@pytest.fixture(scope="module")
def jwks(provider: Running) -> KeySet:
    with provider.client() as client:
        return KeySet.import_key_set(client.get("/jwks").json())


def party_of(provider: Running, client_id: str) -> RelyingParty:
    return RelyingParty(provider, client_id, scope="openid phone")


def validated(id_token: str, jwks: KeySet, party: RelyingParty, answer: dict[str, Any]) -> Token:
    """A signed ID token, as Authlib and joserfc let it pass; its nonce where it has one."""
    registered = registrations()[party.client_id].get("id_token_signed_response_alg", "RS256")
    token = jwt.decode(id_token, jwks, algorithms=[registered])
    claims = CodeIDToken(
        token.claims,
        token.header,
        options={
            "iss": {"essential": True, "value": party.provider.issuer},
            "aud": {"essential": True, "value": party.client_id},
            "at_hash": {"essential": True},
        },
        params={"client_id": party.client_id, "access_token": answer["access_token"]},
    )
    claims.validate()
    return token


def decrypted(token: str, alg: str, enc: str) -> tuple[dict[str, Any], str]:
    """The header and the plaintext of what only the client can read."""
    opened = jwe.decrypt_compact(token, PRIVATE[alg], algorithms=[alg, enc])
    assert opened.plaintext is not None
    header = {name: value for name, value in opened.protected.items() if name != "epk"}
    return header, opened.plaintext.decode()


def is_a_jwt(response: httpx2.Response) -> str:
    """Userinfo's answer is a JWT that nobody may keep (OpenID Connect Core 5.3.2)."""
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/jwt"
    assert response.headers["cache-control"] == "no-store"
    return response.text


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_relying_party_verifies_the_id_token_that_it_registered_for(
    provider: Running, browser: Browser, jwks: KeySet, alg: str
) -> None:
    party = party_of(provider, f"signed-{alg}")
    answer = browser.tokens(party, new_phone())
    refreshed = party.refresh(answer["refresh_token"]).json()

    for given in (answer, refreshed):
        token = validated(given["id_token"], jwks, party, given)
        assert token.header.keys() == {"alg", "kid", "typ"}
        assert (token.header["alg"], token.header["typ"]) == (alg, "JWT")
        # Access tokens are ours alone to read.
        assert header_of(given["access_token"])["alg"] == "ES256"
    assert claims_of(answer["id_token"])["nonce"] == party.nonce


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_relying_party_verifies_the_userinfo_that_it_registered_for(
    provider: Running, browser: Browser, jwks: KeySet, alg: str
) -> None:
    party, phone = party_of(provider, f"signed-{alg}"), new_phone()
    answer = browser.tokens(party, phone)

    token = jwt.decode(is_a_jwt(provider.userinfo(answer["access_token"])), jwks, algorithms=[alg])

    assert (token.header["alg"], token.header["typ"]) == (alg, "JWT")
    assert token.claims == {
        "iss": provider.issuer,
        "aud": party.client_id,
        "sub": claims_of(answer["id_token"])["sub"],
        "phone_number": phone,
        "phone_number_verified": True,
    }


@pytest.mark.parametrize(("alg", "enc"), PAIRS)
def test_an_id_token_is_signed_and_then_encrypted(
    provider: Running, browser: Browser, jwks: KeySet, alg: str, enc: str
) -> None:
    party = party_of(provider, f"encrypted-{alg}-{enc}")
    answer = browser.tokens(party, new_phone())
    refreshed = party.refresh(answer["refresh_token"]).json()

    for given in (answer, refreshed):
        header, signed = decrypted(given["id_token"], alg, enc)
        kid = PRIVATE[alg].kid
        # RFC 7519 5.2
        assert header == {"alg": alg, "enc": enc, "kid": kid, "typ": "JWT", "cty": "JWT"}
        assert validated(signed, jwks, party, given).header["alg"] == "EdDSA"


@pytest.mark.parametrize(("alg", "enc"), PAIRS)
def test_userinfo_is_signed_and_then_encrypted(
    provider: Running, browser: Browser, jwks: KeySet, alg: str, enc: str
) -> None:
    party, phone = party_of(provider, f"encrypted-{alg}-{enc}"), new_phone()
    answer = browser.tokens(party, phone)

    body = is_a_jwt(provider.userinfo(answer["access_token"]))
    header, signed = decrypted(body, alg, enc)
    token = jwt.decode(signed, jwks, algorithms=["PS256"])

    assert header["cty"] == "JWT"
    assert (token.claims["iss"], token.claims["aud"]) == (provider.issuer, party.client_id)
    assert token.claims["phone_number"] == phone


def test_userinfo_may_be_encrypted_without_being_signed(
    provider: Running, browser: Browser, jwks: KeySet
) -> None:
    party, phone = party_of(provider, "encrypted-only"), new_phone()
    answer = browser.tokens(party, phone)
    # OpenID Connect Registration 2: the default of enc
    _, signed = decrypted(answer["id_token"], "ECDH-ES", "A128CBC-HS256")
    sub = validated(signed, jwks, party, answer).claims["sub"]

    body = is_a_jwt(provider.userinfo(answer["access_token"]))
    header, claims = decrypted(body, "RSA-OAEP-256", "A128CBC-HS256")

    assert "cty" not in header
    assert json.loads(claims) == {
        "sub": sub,
        "phone_number": phone,
        "phone_number_verified": True,
    }


def test_a_browser_may_fetch_signed_userinfo_by_form(
    provider: Running, browser: Browser, jwks: KeySet
) -> None:
    answer = browser.tokens(party_of(provider, "signed-ES384"), new_phone())
    with provider.client() as client:
        response = client.post(
            "/userinfo",
            data={"access_token": answer["access_token"]},
            headers={"Origin": "https://app.example.com"},
        )

    assert response.headers["access-control-allow-origin"] == "*"
    token = jwt.decode(is_a_jwt(response), jwks, algorithms=["ES384"])
    assert token.claims["aud"] == "signed-ES384"


# OpenID Connect Core 3.1.2.1
def test_of_an_encrypted_id_token_the_signed_one_inside_is_the_hint(
    provider: Running, browser: Browser
) -> None:
    party = party_of(provider, "encrypted-only")
    answer = browser.tokens(party, new_phone())
    _, signed = decrypted(answer["id_token"], "ECDH-ES", "A128CBC-HS256")
    with provider.client() as client:
        published = client.get("/jwks").json()["keys"]
    ours = next(key for key in published if key["use"] == "enc")
    to_us = jwe.encrypt_compact(
        {"alg": "ECDH-ES", "enc": "A256GCM", "kid": ours["kid"], "cty": "JWT"},
        signed,
        ECKey.import_key(ours),
    )

    for hint in (signed, to_us):
        asked = browser.authorize(party, prompt="none", id_token_hint=hint)
        assert "code" in parameters_of(asked)

    asked = browser.authorize(party, prompt="none", id_token_hint=answer["id_token"])
    assert parameters_of(asked)["error"] == "invalid_request"
    is_a_page_that_leads_nowhere(
        browser.http.get("/logout", params={"id_token_hint": answer["id_token"]})
    )


# RFC 8725 2.8: the same keys sign both, as the same media type.
def test_signed_userinfo_is_neither_a_hint_nor_an_access_token(
    provider: Running, browser: Browser
) -> None:
    party = party_of(provider, "signed-ES256")
    answer = browser.tokens(party, new_phone())
    userinfo = provider.userinfo(answer["access_token"]).text

    asked = browser.authorize(party, prompt="none", id_token_hint=userinfo)
    assert parameters_of(asked)["error"] == "invalid_request"
    is_a_page_that_leads_nowhere(browser.http.get("/logout", params={"id_token_hint": userinfo}))
    refused = provider.userinfo(userinfo)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")


def test_errors_are_json_for_whoever_gets_jwts(provider: Running, browser: Browser) -> None:
    party = party_of(provider, "signed-ES256")
    answer = browser.tokens(party, new_phone())
    assert party.post("/revoke", token=answer["access_token"]).status_code == 200

    refused = provider.userinfo(answer["access_token"])

    assert refused.headers["content-type"] == "application/json"
    assert refused.json()["error"] == "invalid_token"
