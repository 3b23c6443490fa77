"""Dynamic registration over HTTP (RFC 7591, OpenID Connect Registration 1.0)."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from authlib.integrations.httpx_client import OAuth2Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.client_metadata import ClientMetadata
from flows.clients import RegistrationPolicy
from tests.http.assertions import ES256, claims, is_proven, mac, present
from tests.http.partner import PARTNER_SCOPE
from tests.http.provider import (
    DEMO_CALLBACK,
    PHONE_OTP,
    Browser,
    RelyingParty,
    Running,
    claims_of,
    new_phone,
    parameters_of,
)
from tests.http.provider import provider as run_provider
from tests.http.registering import (
    CALLBACK,
    METADATA,
    POLICY,
    Registration,
    at_once,
    initial_access_token,
    post,
)
from tests.http.wire import watched
from tests.idp.stranger import said, stranger

SERVICE = RegistrationPolicy(
    scopes=("openid",),
    grant_types=("client_credentials",),
    service_scopes=("stock.read", "stock.write"),
    resources=("https://stock.example/",),
)


@pytest.fixture(scope="module")
def closed() -> Iterator[Running]:
    """A provider where a client is registered with an initial access token only."""
    with run_provider(toml="[registration]\nopen = false\n") as running:
        yield running


@pytest.fixture(scope="module")
def token(provider: Running) -> str:
    return initial_access_token(provider)


def refused(running: Running, token: str | None, **members: Any) -> tuple[str, str]:
    """The error of a registration that is refused, and its description."""
    response = post(running, {**METADATA, **members}, token)
    assert response.status_code == 400, response.text
    assert response.headers["cache-control"] == "no-store"
    assert "www-authenticate" not in response.headers
    answer = response.json()
    assert answer.keys() == {"error", "error_description"}
    return answer["error"], answer["error_description"]


# What is answered


def test_the_answer_has_all_that_is_registered_with_its_defaults(provider: Running) -> None:
    before = int(time.time())
    response = post(provider, METADATA)
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert before <= answer["client_id_issued_at"] <= time.time()
    assert answer["client_secret_expires_at"] == 0
    assert len(answer["client_secret"]) == 43
    assert len(answer["registration_access_token"]) == 43
    assert answer["registration_client_uri"] == (
        f"{provider.issuer}/register/{answer['client_id']}"
    )
    assert (
        answer
        | {
            **METADATA,
            "application_type": "web",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "client_secret_basic",
            "id_token_signed_response_alg": "RS256",
            "subject_type": "pairwise",
            "require_auth_time": False,
        }
        == answer
    )


def test_discovery_names_the_endpoint(provider: Running) -> None:
    with provider.client() as client:
        found = client.get("/.well-known/openid-configuration").json()
    assert found["registration_endpoint"] == f"{provider.issuer}/register"


def test_a_client_without_a_secret_is_given_none(provider: Running) -> None:
    for members in (
        {"token_endpoint_auth_method": "none"},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}},
    ):
        answer = post(provider, {**METADATA, **members}).json()
        assert "client_secret" not in answer
        assert "client_secret_expires_at" not in answer
        assert "registration_access_token" in answer


def test_members_without_a_meaning_here_are_left_out(provider: Running) -> None:
    foreign = {"client_id": "mine", "client_secret": "mine", "partner": {"verified": True}}
    answer = post(provider, {**METADATA, **foreign, "contacts": None}).json()
    assert answer["client_id"] != "mine"
    assert answer["client_secret"] != "mine"
    assert "partner" not in answer
    assert "contacts" not in answer


def test_names_in_several_languages_come_back(provider: Running) -> None:
    answer = post(provider, {**METADATA, "client_name#ru": "Лавка"}).json()
    assert answer["client_name#ru"] == "Лавка"


def test_a_browser_of_any_origin_may_register(provider: Running) -> None:
    with provider.client() as client:
        preflight = client.options("/register", headers={"Origin": "https://a.example"})
        answer = client.post("/register", json=dict(METADATA))
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-origin"] == "*"


def test_two_registrations_are_two_clients(provider: Running) -> None:
    answers = at_once(provider, 50, METADATA, None)
    assert {it.status_code for it in answers} == {201}
    for member in ("client_id", "client_secret", "registration_access_token"):
        assert len({it.json()[member] for it in answers}) == 50


# What is no registration request


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"a"', b"\xff", b'{"a":"\\ud800"}', b"[" * 60_000]
)
def test_a_body_that_is_no_json_object_is_refused(provider: Running, body: bytes) -> None:
    with provider.client() as client:
        headers = {"Content-Type": "application/json"}
        response = client.post("/register", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json() == {
        "error": "invalid_client_metadata",
        "error_description": "the body must be a JSON object",
    }


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "application/jwt", ""]
)
def test_a_body_of_another_type_is_refused(provider: Running, content_type: str) -> None:
    with provider.client() as client:
        body = json.dumps(dict(METADATA)).encode()
        headers = {"Content-Type": content_type}
        response = client.post("/register", content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_client_metadata"


def test_a_body_that_is_too_large_is_refused(provider: Running) -> None:
    response = post(provider, {**METADATA, "x": "x" * 65_536})
    assert response.status_code == 413
    assert response.json()["error"] == "invalid_client_metadata"


def test_json_may_name_its_character_set(provider: Running) -> None:
    with provider.client() as client:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        body = json.dumps(dict(METADATA)).encode()
        assert client.post("/register", content=body, headers=headers).status_code == 201


# Initial access tokens


@pytest.mark.parametrize("scheme", [None, "Basic YTpi", "Bearer"])
def test_without_a_token_nobody_registers_where_that_is_not_configured(
    closed: Running, scheme: str | None
) -> None:
    with closed.client() as client:
        headers = {} if scheme is None else {"Authorization": scheme}
        response = client.post("/register", json=dict(METADATA), headers=headers)
    assert response.status_code == (400 if scheme == "Bearer" else 401)
    assert response.headers["www-authenticate"].startswith('Bearer realm="idp"')


def test_with_a_token_a_client_is_registered(closed: Running) -> None:
    token = initial_access_token(closed, most_clients=1)
    assert post(closed, METADATA, token).status_code == 201
    # Now it is used up.
    response = post(closed, METADATA, token)
    assert response.status_code == 401
    assert response.json()["error"] == "invalid_token"
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_bad_token_is_refused_where_none_is_needed(provider: Running) -> None:
    expired = initial_access_token(provider, good_for=-1)
    for token in ("made-up", expired):
        response = post(provider, METADATA, token)
        assert response.status_code == 401
        assert response.json()["error"] == "invalid_token"


def test_a_token_for_ten_makes_ten_of_two_hundred_at_once(provider: Running) -> None:
    token = initial_access_token(provider, most_clients=10)
    answers = at_once(provider, 200, METADATA, token)
    assert Counter(it.status_code for it in answers) == {201: 10, 401: 190}


def test_a_refused_registration_takes_no_use_of_its_token(provider: Running) -> None:
    token = initial_access_token(provider, most_clients=1)
    refused(provider, token, scope="openid email")
    assert post(provider, METADATA, token).status_code == 201


# Policy


@pytest.mark.parametrize(
    ("members", "error", "member"),
    [
        ({"scope": "openid email"}, "invalid_client_metadata", "scope: email"),
        ({"grant_types": ["authorization_code", "client_credentials"]}, "", "service_scope"),
        ({"grant_types": ["authorization_code", PHONE_OTP]}, "", f"grant_types: {PHONE_OTP}"),
        ({"redirect_uris": ["https://other.example/"]}, "invalid_redirect_uri", "redirect_uris"),
        ({"redirect_uris": [CALLBACK, "https://a.partner.example/"]}, "", "sector_identifier_uri"),
        ({"redirect_uris": ["https://partner.example./"]}, "invalid_redirect_uri", "redirect_uris"),
        (
            {
                "application_type": "native",
                "redirect_uris": ["com.example.app://partner.example/cb"],
                "sector_identifier_uri": "https://partner.example/sector",
            },
            "invalid_redirect_uri",
            "redirect_uris",
        ),
        (
            {"post_logout_redirect_uris": ["https://other.example/"]},
            "",
            "post_logout_redirect_uris",
        ),
        ({"initiate_login_uri": "https://other.example/"}, "", "initiate_login_uri"),
        ({"subject_type": "public"}, "", "subject_type"),
        ({"first_party_native": True, "application_type": "native"}, "", "first_party_native"),
        ({"refresh_token_policy": "always"}, "", "refresh_token_policy"),
        ({"resource": "https://api.example/"}, "", "resource"),
        ({"resources": ["https://api.example/"]}, "", "resources"),
        ({"service_scope": "stock.read"}, "", "service_scope"),
    ],
)
def test_what_goes_beyond_the_policy_is_refused(
    provider: Running, token: str, members: dict[str, Any], error: str, member: str
) -> None:
    found, description = refused(provider, token, **members)
    assert found == (error or "invalid_client_metadata")
    assert description.startswith(member)


@pytest.mark.parametrize("uri", ["https://[", "https://a]/", "https://℀.example/"])
@pytest.mark.parametrize("member", ["redirect_uris", "sector_identifier_uri"])
def test_what_is_no_uri_is_refused(provider: Running, token: str, uri: str, member: str) -> None:
    value: str | list[str] = [uri] if member == "redirect_uris" else uri

    error, _ = refused(provider, token, **{member: value})

    assert error in ("invalid_redirect_uri", "invalid_client_metadata")


@pytest.mark.parametrize(
    "name", ["\u3164", "\u2800 \u2800", "---", "a\u0334\u0335\u0336", "A\u115fB"]
)
def test_a_name_is_something_that_a_customer_can_read(
    provider: Running, token: str, name: str
) -> None:
    error, description = refused(provider, token, client_name=name)

    assert error == "invalid_client_metadata"
    assert description.startswith("client_name: must")


def test_scopes_that_are_not_named_are_those_of_the_policy(provider: Running, token: str) -> None:
    answer = Registration.made(provider, token).information
    assert answer["scope"] == " ".join(POLICY.scopes)


def test_no_policy_lets_a_partner_use_the_phone_grant(provider: Running) -> None:
    policy = RegistrationPolicy(("openid",), ("authorization_code", PHONE_OTP))
    token = initial_access_token(provider, policy)
    grant_types = ["authorization_code", PHONE_OTP]
    assert "grant_types" in refused(provider, token, grant_types=grant_types)[1]


def test_a_service_gets_what_its_policy_says(provider: Running) -> None:
    token = initial_access_token(provider, SERVICE)
    members = {"grant_types": ["client_credentials"], "redirect_uris": []}
    service = Registration.made(provider, token, **members)
    answer = service.party().token(
        grant_type="client_credentials", resource="https://stock.example/"
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["scope"] == "stock.read stock.write"
    found, description = refused(provider, token, **members, service_scope="stock.delete")
    assert (found, description.partition(":")[0]) == ("invalid_client_metadata", "service_scope")


def test_open_registration_is_no_way_to_a_service(provider: Running) -> None:
    members = {"grant_types": ["client_credentials"], "redirect_uris": []}
    assert refused(provider, None, **members)[0] == "invalid_client_metadata"


def test_open_registration_is_limited_in_rate_and_number() -> None:
    toml = (
        "[registration]\nattempts_per_address = { burst = 5, period_seconds = 3_600 }\n"
        'open_policy = { most_clients = 3, redirect_hosts = ["partner.example"] }\n'
    )
    with run_provider(toml=toml) as running:
        answers = [post(running) for _ in range(6)]
        assert [it.status_code for it in answers] == [201, 201, 201, 403, 403, 429]
        assert answers[3].json()["error"] == "access_denied"
        assert answers[5].json()["error"] == "slow_down"
        assert int(answers[5].headers["retry-after"]) > 0
        # Partners with a token are none of them.
        token = initial_access_token(running)
        assert post(running, METADATA, token).status_code == 201


# What clients name by URL


def test_jwks_uri_is_fetched_and_must_hold_keys(provider: Running) -> None:
    for body, fault in (
        (b'{"keys":[]}', "jwks_uri: holds no sound public key"),
        (b"[]", "jwks_uri: does not hold a JWK Set"),
    ):
        assert _with_stranger(provider, "jwks_uri", body) == (400, fault)


def test_jwks_uri_must_hold_the_keys_that_are_asked_for(provider: Running) -> None:
    jwks = json.dumps({"keys": [dict(ES256.public_jwk)]}).encode()
    by_key = {"token_endpoint_auth_method": "private_key_jwt"}
    assert _with_stranger(provider, "jwks_uri", jwks, **by_key) == (201, "")
    encrypted = {"id_token_encrypted_response_alg": "RSA-OAEP-256"}
    status, fault = _with_stranger(provider, "jwks_uri", jwks, **encrypted)
    assert status == 400
    assert fault.startswith("id_token_encrypted_response_alg: of jwks_uri, ")


def test_a_sector_is_fetched_and_must_list_the_redirect_uris(provider: Running) -> None:
    listed = json.dumps([CALLBACK]).encode()
    assert _with_stranger(provider, "sector_identifier_uri", listed) == (201, "")
    fault = f"sector_identifier_uri: does not list {CALLBACK}"
    assert _with_stranger(provider, "sector_identifier_uri", b"[]") == (400, fault)


@pytest.mark.parametrize("member", ["jwks_uri", "sector_identifier_uri"])
def test_what_cannot_be_fetched_is_refused(provider: Running, member: str) -> None:
    # Nobody listens on this port, and nobody is told so.
    fault = refused(provider, None, **{member: "http://127.0.0.1:9/x"})
    assert fault == ("invalid_client_metadata", f"{member}: cannot be fetched")


def _with_stranger(provider: Running, member: str, body: bytes, **members: str) -> tuple[int, str]:
    async def run() -> tuple[int, str]:
        async with stranger(said(body)) as owner, provider.async_client() as client:
            uri = f"http://127.0.0.1:{owner.port}/x"
            answer = await client.post("/register", json={**METADATA, **members, member: uri})
            assert len(owner.requests) == 1
            return answer.status_code, answer.json().get("error_description", "")

    return asyncio.run(run())


# A registered client signs in


def consented(browser: Browser, party: RelyingParty) -> str:
    """The code of a customer who signs in and allows all."""
    answer = browser.authorize(party)
    answer = browser.prove(new_phone())
    if answer.headers["location"].endswith("/profile"):
        answer = browser.submit("profile", given_name="Анна", terms="accepted")
    assert answer.headers["location"].endswith("/consent")
    allowed = {f"allow_{scope}": "yes" for scope in PARTNER_SCOPE.split()}
    return parameters_of(browser.submit("consent", **allowed))["code"]


def test_a_registered_client_signs_its_customers_in(
    provider: Running, token: str, browser: Browser
) -> None:
    registration = Registration.made(
        provider,
        token,
        redirect_uris=[DEMO_CALLBACK],
        grant_types=["authorization_code", "refresh_token"],
    )
    party = registration.party()
    answer = party.redeem(consented(browser, party)).json()
    assert claims_of(answer["id_token"])["aud"] == registration.client_id
    assert party.refresh(answer["refresh_token"]).status_code == 200
    assert provider.userinfo(answer["access_token"]).status_code == 200


def test_authlib_works_with_what_the_answer_says(
    provider: Running, token: str, browser: Browser
) -> None:
    registration = Registration.made(provider, token, redirect_uris=[DEMO_CALLBACK])
    information, party = registration.information, registration.party()
    code = consented(browser, party)
    with OAuth2Client(
        information["client_id"],
        information["client_secret"],
        token_endpoint_auth_method=information["token_endpoint_auth_method"],
        redirect_uri=information["redirect_uris"][0],
        trust_env=False,
    ) as client:
        fetched = client.fetch_token(
            f"{provider.issuer}/token", code=code, code_verifier=party.verifier
        )
    assert fetched["token_type"] == "Bearer"


def test_a_client_that_signs_with_its_secret_is_given_it(provider: Running, token: str) -> None:
    registration = Registration.made(
        provider,
        token,
        token_endpoint_auth_method="client_secret_jwt",
        grant_types=["authorization_code", "refresh_token"],
    )
    secret = registration.information["client_secret"]
    assertion = mac(claims(provider, registration.client_id), secret)
    assert is_proven(present(provider, assertion))


# Never a fault of ours

_MEMBERS = st.sampled_from(
    [
        *ClientMetadata.__struct_fields__,
        *("client_name#ru", "logo_uri#en-GB", "#", "jwks#ru", "client_id", "client_secret"),
        *("request_uris", "software_statement", "backchannel_logout_uri", "x"),
    ]
)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(
        [CALLBACK, "https://[", "com.example:/", "code", "openid", "none", "RS256", "ECDH-ES"]
    )
    | st.sampled_from(
        ["private_key_jwt", "client_credentials", "refresh_token", "a.b.c", "pairwise"]
    )
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["keys", "kty", "crv", "x", "n", "e"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(
    max_examples=300,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    usual=st.sampled_from([{}, METADATA]),
    members=st.dictionaries(_MEMBERS, _VALUES, max_size=8),
)
def test_no_metadata_is_a_fault_of_ours(
    watched_provider: Running, usual: dict[str, Any], members: dict[str, Any]
) -> None:
    body = json.dumps({**usual, **members})
    with watched_provider.client() as client:
        headers = {"Content-Type": "application/json"}
        answer = client.post("/register", content=body, headers=headers)
    assert answer.status_code in (201, 400)
    if answer.status_code == 400:
        assert answer.json()["error"] in {
            "invalid_client_metadata",
            "invalid_redirect_uri",
            "invalid_software_statement",
        }


@pytest.fixture(scope="module")
def watched_provider() -> Iterator[Running]:
    with watched() as running:
        yield running
