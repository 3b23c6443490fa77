import base64
import hashlib
import time
from urllib.parse import quote

import httpx2
import pytest

from tests.http.provider import (
    DEMO_CALLBACK,
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    header_of,
    new_phone,
)

CODE = {"grant_type": "authorization_code", "code": "none", "redirect_uri": DEMO_CALLBACK}


def error_of(response: httpx2.Response) -> str:
    assert response.status_code == 400
    assert response.headers["cache-control"] == "no-store"
    return str(response.json()["error"])


# The answer


def test_the_answer_says_what_was_granted_and_may_not_be_kept(
    browser: Browser, party: RelyingParty
) -> None:
    response = party.redeem(browser.sign_in(party, new_phone(), scope="openid phone")["code"])
    answer = response.json()
    names = {"access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token"}
    assert answer.keys() == names
    assert answer["token_type"] == "Bearer"
    assert answer["scope"] == "openid phone"
    assert answer["expires_in"] == 300
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"


def test_the_access_token_is_an_rfc_9068_token(browser: Browser, party: RelyingParty) -> None:
    token = browser.tokens(party, new_phone())["access_token"]
    assert header_of(token).keys() == {"alg", "kid", "typ"}
    assert (header_of(token)["typ"], header_of(token)["alg"]) == ("at+jwt", "ES256")
    claims = claims_of(token)
    assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} < claims.keys()
    assert claims["iss"] == claims["aud"] == browser.provider.issuer
    assert claims["client_id"] == "demo"
    assert claims["scope"] == party.scope
    assert claims["exp"] - claims["iat"] == 300
    assert {"auth_time", "acr"} < claims.keys()
    assert "phone_number" not in claims


@pytest.mark.parametrize(("client_id", "alg"), [("demo", "ES256"), ("demo-rs256", "RS256")])
def test_the_id_token_is_signed_as_the_client_is_registered(
    provider: Running, browser: Browser, client_id: str, alg: str
) -> None:
    party = RelyingParty(provider, client_id)
    tokens = browser.tokens(party, new_phone())
    header, claims = header_of(tokens["id_token"]), claims_of(tokens["id_token"])
    assert (header["alg"], header["typ"]) == (alg, "JWT")
    with provider.client() as client:
        published = {key["kid"]: key["alg"] for key in client.get("/jwks").json()["keys"]}
    assert published[header["kid"]] == alg
    assert claims["iss"] == provider.issuer
    assert claims["aud"] == client_id
    assert claims["nonce"] == party.nonce
    assert claims["auth_time"] <= claims["iat"] < claims["exp"]
    assert {"sub", "sid", "acr", "amr"} < claims.keys()


def test_at_hash_is_the_left_half_of_the_access_tokens_hash(
    browser: Browser, party: RelyingParty
) -> None:
    tokens = browser.tokens(party, new_phone())
    half = hashlib.sha256(tokens["access_token"].encode()).digest()[:16]
    expected = base64.urlsafe_b64encode(half).rstrip(b"=").decode()
    assert claims_of(tokens["id_token"])["at_hash"] == expected


def test_a_request_without_a_nonce_gets_an_id_token_without_one(
    browser: Browser, party: RelyingParty
) -> None:
    tokens = browser.tokens(party, new_phone(), nonce=None)
    assert "nonce" not in claims_of(tokens["id_token"])


def test_a_customer_is_the_same_subject_to_every_client(
    provider: Running, open_browser: OpenBrowser
) -> None:
    phone = new_phone()
    subjects = set()
    for client_id in ("demo", "demo-rs256"):
        browser = open_browser(provider)
        tokens = browser.tokens(RelyingParty(provider, client_id), phone)
        subjects.add(claims_of(tokens["id_token"])["sub"])
    assert len(subjects) == 1


# The code


def test_a_replayed_code_takes_back_what_it_gave(browser: Browser, party: RelyingParty) -> None:
    code = browser.sign_in(party, new_phone())["code"]
    tokens = party.redeem(code).json()
    assert browser.provider.userinfo(tokens["access_token"]).status_code == 200
    assert error_of(party.redeem(code)) == "invalid_grant"
    assert browser.provider.userinfo(tokens["access_token"]).status_code == 401
    assert error_of(party.refresh(tokens["refresh_token"])) == "invalid_grant"


def test_a_replay_harms_no_other_grant_of_the_session(
    browser: Browser, party: RelyingParty
) -> None:
    first = browser.sign_in(party, new_phone())["code"]
    party.redeem(first)
    second = party.redeem(browser.sign_in(party, "")["code"]).json()
    party.redeem(first)
    assert browser.provider.userinfo(second["access_token"]).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "http://localhost:8001/other"},
        {"code_verifier": "x" * 64},
        {"code_verifier": None},
    ],
)
def test_a_code_that_is_presented_wrongly_is_not_spent(
    browser: Browser, party: RelyingParty, changes: dict[str, str | None]
) -> None:
    code = browser.sign_in(party, new_phone())["code"]
    assert error_of(party.redeem(code, **changes)) == "invalid_grant"
    assert party.redeem(code).status_code == 200


def test_another_client_can_neither_use_nor_spend_a_code(
    provider: Running, browser: Browser, party: RelyingParty
) -> None:
    code = browser.sign_in(party, new_phone())["code"]
    thief = RelyingParty(provider, "demo-rs256", verifier=party.verifier)
    assert error_of(thief.redeem(code)) == "invalid_grant"
    tokens = party.redeem(code).json()
    # Nor end, by a replay, what its owner got for it.
    assert error_of(thief.redeem(code)) == "invalid_grant"
    assert provider.userinfo(tokens["access_token"]).status_code == 200


def test_a_code_is_not_good_for_long(hasty: Running, open_browser: OpenBrowser) -> None:
    party, browser = RelyingParty(hasty), open_browser(hasty)
    code = browser.sign_in(party, new_phone())["code"]
    time.sleep(2.1)
    assert error_of(party.redeem(code)) == "invalid_grant"


@pytest.mark.parametrize("code", ["nonsense", ".", "a.b", "%00", "ы" * 30])
def test_a_made_up_code_is_invalid(party: RelyingParty, code: str) -> None:
    assert error_of(party.redeem(code)) == "invalid_grant"


# The request


@pytest.mark.parametrize("name", ["grant_type", "code", "redirect_uri"])
def test_a_missing_parameter_is_refused(party: RelyingParty, name: str) -> None:
    parameters: dict[str, str | None] = dict(CODE)
    assert error_of(party.token(**(parameters | {name: None}))) == "invalid_request"


@pytest.mark.parametrize(
    "grant_type", ["password", "CLIENT_CREDENTIALS", "implicit", "AUTHORIZATION_CODE"]
)
def test_an_unknown_grant_type_is_unsupported(party: RelyingParty, grant_type: str) -> None:
    assert error_of(party.token(grant_type=grant_type)) == "unsupported_grant_type"


def test_a_grant_type_that_the_client_is_not_registered_for_is_refused(provider: Running) -> None:
    bot = RelyingParty(provider, "demo-bot")
    assert error_of(bot.redeem("code")) == "unauthorized_client"


def test_parameters_in_the_query_do_not_count(provider: Running, party: RelyingParty) -> None:
    query = "grant_type=authorization_code&code=a&redirect_uri=b"
    auth = (party.client_id, provider.secret(party.client_id))
    with provider.client() as client:
        assert error_of(client.post(f"/token?{query}", auth=auth)) == "invalid_request"


# Client authentication


def authenticated(response: httpx2.Response) -> bool:
    """Whether a request with a made-up code came as far as the code."""
    error = response.json()["error"]
    assert (response.status_code, error) in ((400, "invalid_grant"), (401, "invalid_client"))
    return bool(error == "invalid_grant")


@pytest.mark.parametrize("client_id", ["demo", "demo-rs256", "demo-native"])
def test_each_client_authenticates_as_it_is_registered(provider: Running, client_id: str) -> None:
    assert authenticated(RelyingParty(provider, client_id).redeem("none"))


def test_no_client_authenticates_in_another_way(provider: Running) -> None:
    by_post, by_basic = provider.secret("demo"), provider.secret("demo-rs256")
    with provider.client() as client:
        for response in (
            client.post("/token", data=CODE | {"client_id": "demo", "client_secret": by_post}),
            client.post("/token", data=CODE, auth=("demo-rs256", by_basic)),
            client.post("/token", data=CODE | {"client_id": "demo"}),
            client.post("/token", data=CODE, auth=("demo-native", "")),
            client.post("/token", data=CODE | {"client_id": "demo-native", "client_secret": "x"}),
        ):
            assert not authenticated(response)


@pytest.mark.parametrize(
    ("client_id", "secret"), [("demo", "wrong"), ("demo", ""), ("nobody", "wrong")]
)
def test_wrong_credentials_are_refused_without_telling_what_was_wrong(
    provider: Running, client_id: str, secret: str
) -> None:
    with provider.client() as client:
        response = client.post("/token", data=CODE, auth=(client_id, secret))
    assert response.status_code == 401
    assert response.json() == {"error": "invalid_client"}
    # RFC 6749 5.2: whoever tried by the header is told its scheme.
    assert response.headers["www-authenticate"].startswith("Basic ")


def test_a_fault_in_the_body_brings_no_challenge(provider: Running) -> None:
    wrong = CODE | {"client_id": "demo-rs256", "client_secret": "wrong"}
    with provider.client() as client:
        for response in (client.post("/token", data=wrong), client.post("/token", data=CODE)):
            assert response.status_code == 401
            assert "www-authenticate" not in response.headers


def test_two_ways_at_once_are_refused(provider: Running) -> None:
    secret = provider.secret("demo")
    with provider.client() as client:
        both = client.post("/token", data=CODE | {"client_secret": secret}, auth=("demo", secret))
        other = client.post("/token", data=CODE | {"client_id": "other"}, auth=("demo", secret))
        same = client.post("/token", data=CODE | {"client_id": "demo"}, auth=("demo", secret))
    assert error_of(both) == "invalid_request"
    assert error_of(other) == "invalid_request"
    assert authenticated(same)


def test_the_header_is_form_encoded_within(provider: Running) -> None:
    encoded = "".join(f"%{byte:02X}" for byte in provider.secret("demo").encode())
    with provider.client() as client:
        assert authenticated(client.post("/token", data=CODE, auth=(quote("demo"), encoded)))


@pytest.mark.parametrize(
    "header", ["Bearer abc", "Basic", "Basic !!!", "Basic ZGVtbw==", "Basic /////w=="]
)
def test_a_malformed_header_is_refused(provider: Running, header: str) -> None:
    with provider.client() as client:
        response = client.post("/token", data=CODE, headers={"Authorization": header})
    assert not authenticated(response)
    assert response.headers["www-authenticate"].startswith("Basic ")
