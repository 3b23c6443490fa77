"""A partner's client manages itself over HTTP (RFC 7592)."""

import asyncio
import time
from collections import Counter
from typing import Any

import httpx2
import pytest

from conf.settings import load
from flows.client_registry import ClientRegistry, Registered
from flows.clients import RegistrationPolicy
from idp.commands.operating import now, with_store
from storage import outcomes as o
from storage.records import By
from storage.store import Store
from tests.http.assertions import claims, is_proven, mac, present
from tests.http.provider import DEMO_CALLBACK, Browser, Running, new_phone
from tests.http.registering import (
    CALLBACK,
    METADATA,
    POLICY,
    Registration,
    bearer,
    initial_access_token,
)
from tests.http.test_registration import consented

OTHER = "https://partner.example/other"
REFRESHING = {
    "redirect_uris": [DEMO_CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
}


@pytest.fixture(scope="module")
def initial_token(provider: Running) -> str:
    return initial_access_token(provider)


@pytest.fixture
def client(provider: Running, initial_token: str) -> Registration:
    """A new client of a partner's."""
    return Registration.made(provider, initial_token)


def done(response: httpx2.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    answer: dict[str, Any] = response.json()
    return answer


def is_unauthorized(response: httpx2.Response) -> bool:
    if response.status_code != 401:
        return False
    assert response.json() == {
        "error": "invalid_token",
        "error_description": "the registration access token is not valid for this client",
    }
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    return True


def refused(response: httpx2.Response) -> tuple[str, str]:
    assert response.status_code == 400, response.text
    return response.json()["error"], response.json()["error_description"]


# Read


def test_a_client_reads_what_it_was_told_but_its_secret(client: Registration) -> None:
    told = {name: it for name, it in client.information.items() if name != "client_secret"}
    assert done(client.read()) == told
    assert done(client.read()) == told


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_nobody_learns_whether_there_is_a_client(
    provider: Running, client: Registration, initial_token: str, method: str
) -> None:
    other = Registration.made(provider, initial_token)
    paths = [client.path, "/register/no-such-client", "/register/demo"]
    with provider.client() as http:
        answers = [
            http.request(method, path, headers=bearer(token), json={"client_id": "x"})
            for path in paths
            for token in ("made-up", other.token, initial_token)
        ]
    assert all(map(is_unauthorized, answers))
    assert len({(it.content, it.headers["www-authenticate"]) for it in answers}) == 1
    assert client.read().status_code == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_without_a_token_one_is_asked_for(client: Registration, method: str) -> None:
    with client.running.client() as http:
        answer = http.request(method, client.path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="idp"'
    assert answer.json() == {}


def test_a_browser_of_any_origin_may_manage(client: Registration) -> None:
    with client.running.client() as http:
        preflight = http.options(client.path)
    assert preflight.headers["access-control-allow-methods"] == "GET, PUT, DELETE, OPTIONS"
    assert client.read().headers["access-control-allow-origin"] == "*"


# Update


def test_an_update_replaces_all_metadata(provider: Running, initial_token: str) -> None:
    client = Registration.made(
        provider, initial_token, client_uri="https://partner.example/", default_max_age=60
    )
    answer = done(client.update(client_name="Grocery", redirect_uris=[OTHER]))
    assert (answer["client_name"], answer["redirect_uris"]) == ("Grocery", [OTHER])
    assert "client_uri" not in answer
    assert "default_max_age" not in answer
    for member in ("client_id", "client_id_issued_at", "registration_client_uri"):
        assert answer[member] == client.information[member]
    told = {name: it for name, it in answer.items() if name != "client_secret"}
    assert done(client.read(answer["registration_access_token"])) == told


def test_what_was_read_may_be_sent_back(client: Registration) -> None:
    read = done(client.read())
    answer = done(client.update(**read))
    changed = {name for name in answer if answer[name] != read.get(name)}
    assert changed == {"registration_access_token"}


def test_every_server_process_follows_an_update(client: Registration) -> None:
    done(client.update(redirect_uris=[OTHER]))
    time.sleep(1.5)  # every worker looks for changes once a second
    with client.running.client() as http:
        for _ in range(10):
            for uri, status in ((OTHER, 303), (CALLBACK, 400)):
                request = {
                    "client_id": client.client_id,
                    "redirect_uri": uri,
                    "response_type": "code",
                    "scope": "openid",
                    "nonce": "n",
                }
                assert http.get("/authorize", params=request).status_code == status


@pytest.mark.parametrize(
    ("members", "error", "member"),
    [
        ({"client_id": None}, "invalid_client_metadata", "client_id"),
        ({"client_id": "demo"}, "invalid_client_metadata", "client_id"),
        ({"client_secret": "made-up"}, "invalid_client_metadata", "client_secret"),
        ({"client_secret": 7}, "invalid_client_metadata", "client_secret"),
        ({"redirect_uris": ["https://other.example/"]}, "invalid_redirect_uri", "redirect_uris"),
        ({"redirect_uris": []}, "invalid_client_metadata", "redirect_uris"),
        ({"scope": "openid email"}, "invalid_client_metadata", "scope: email"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata", ""),
        ({"subject_type": "public"}, "invalid_client_metadata", "subject_type"),
        ({"first_party_native": True}, "invalid_client_metadata", "first_party_native"),
        ({"refresh_token_policy": "always"}, "invalid_client_metadata", "refresh_token_policy"),
        ({"jwks_uri": "http://127.0.0.1:9/"}, "invalid_client_metadata", "jwks_uri"),
        ({"software_statement": "x"}, "invalid_software_statement", ""),
    ],
)
def test_a_client_stays_within_its_policy(
    client: Registration, members: dict[str, Any], error: str, member: str
) -> None:
    found, description = refused(client.update(**members))
    assert found == error
    assert description.startswith(member)
    # Nothing was changed, and the token is the same.
    told = {name: it for name, it in client.information.items() if name != "client_secret"}
    assert done(client.read()) == told


def test_an_update_stays_in_its_sector(provider: Running) -> None:
    # Elsewhere it would be told what another partner calls the same customers.
    anywhere = RegistrationPolicy(POLICY.scopes, POLICY.grant_types)
    client = Registration.made(provider, initial_access_token(provider, anywhere))

    for uris in (["https://bank.example/cb"], ["https://bank.example/cb", CALLBACK]):
        error, description = refused(client.update(redirect_uris=uris))
        assert error == "invalid_client_metadata"
        assert "sector" in description
    other = f"{CALLBACK}/2"
    assert done(client.update(redirect_uris=[other]))["redirect_uris"] == [other]


def test_a_policy_outlives_its_token(provider: Running) -> None:
    token = initial_access_token(provider, RegistrationPolicy(("openid",), POLICY.grant_types))
    client = Registration.made(provider, token)
    settings = load(provider.directory / "idp.toml")

    async def revoke(store: Store) -> None:
        for it in await store.initial_access_tokens_list():
            if it.policy.startswith('{"scopes":["openid"],'):
                await store.initial_access_token_revoke(it.token_id, by=By("tests"), now=now())

    with_store(settings, revoke)
    assert refused(client.update(scope="openid profile"))[1] == "scope: profile is not allowed"
    assert done(client.update(scope="openid"))["scope"] == "openid"


def test_the_secret_that_is_sent_along_comes_back(client: Registration) -> None:
    secret = client.information["client_secret"]
    assert done(client.update(client_secret=secret))["client_secret"] == secret


@pytest.mark.parametrize("body", [b"", b"[]", b"{"])
def test_an_update_is_a_json_object(client: Registration, body: bytes) -> None:
    headers = bearer(client.token) | {"Content-Type": "application/json"}
    with client.running.client() as http:
        answer = http.put(client.path, content=body, headers=headers)
    assert refused(answer)[0] == "invalid_client_metadata"


# The rotating token


def test_the_old_token_ends_when_the_new_one_is_first_used(client: Registration) -> None:
    new = done(client.update())["registration_access_token"]
    assert new != client.token
    assert done(client.read(new))["registration_access_token"] == new
    for answer in (client.read(), client.update(), client.delete()):
        assert is_unauthorized(answer)
    assert client.read(new).status_code == 200


def test_a_lost_answer_is_had_again(client: Registration) -> None:
    first = done(client.update(client_name="Grocery"))
    # The old token tells of the new one, to a repetition and to whoever only looks.
    assert done(client.update(client_name="Grocery")) == first
    assert done(client.read())["registration_access_token"] == first["registration_access_token"]
    # Another update is one as well.
    changed = done(client.update(client_name="Greengrocery"))
    assert changed["client_name"] == "Greengrocery"
    assert changed["registration_access_token"] == first["registration_access_token"]
    assert done(client.read(first["registration_access_token"]))["client_name"] == "Greengrocery"
    assert is_unauthorized(client.read())


def test_a_token_of_two_updates_ago_is_dead(client: Registration) -> None:
    second = done(client.update())["registration_access_token"]
    third = done(client.update(second))["registration_access_token"]
    assert len({client.token, second, third}) == 3
    assert is_unauthorized(client.read())
    assert done(client.read(second))["registration_access_token"] == third


def test_updates_at_once_give_one_token_and_one_of_their_metadata(client: Registration) -> None:
    names = [f"Shop {number}" for number in range(20)]

    async def send() -> list[httpx2.Response]:
        async with client.running.async_client() as http:
            return await asyncio.gather(
                *(
                    http.put(
                        client.path,
                        headers=bearer(client.token),
                        json={"client_id": client.client_id, **METADATA, "client_name": name},
                    )
                    for name in names
                )
            )

    answers = asyncio.run(send())
    statuses = Counter(it.status_code for it in answers)
    assert set(statuses) <= {200, 503}
    assert statuses[200] > 0
    tokens = {it.json()["registration_access_token"] for it in answers if it.status_code == 200}
    (token,) = tokens
    assert done(client.read(token))["client_name"] in names


# Secrets


def test_a_client_that_comes_to_need_a_secret_is_given_one_and_again_if_it_got_lost(
    provider: Running, initial_token: str
) -> None:
    client = Registration.made(
        provider, initial_token, **REFRESHING, token_endpoint_auth_method="none"
    )
    wanted: dict[str, Any] = {**REFRESHING, "token_endpoint_auth_method": "client_secret_jwt"}
    first = done(client.update(**wanted))
    assert done(client.update(**wanted)) == first
    time.sleep(1.5)  # every worker looks for changes once a second
    proof = claims(provider, client.client_id)
    assert is_proven(present(provider, mac(proof, first["client_secret"])))
    # It is told only once the new token has been used.
    token = first["registration_access_token"]
    assert "client_secret" not in done(client.read(token))
    assert "client_secret" not in done(client.update(token, **wanted))


def test_a_client_that_needs_no_secret_any_more_has_none(client: Registration) -> None:
    secret = client.information["client_secret"]
    answer = done(client.update(client_secret=secret, token_endpoint_auth_method="none"))
    assert "client_secret" not in answer
    assert "client_secret_expires_at" not in answer


# Delete


def test_all_that_a_client_was_given_ends_with_it(
    provider: Running, initial_token: str, browser: Browser, other_browser: Browser
) -> None:
    client = Registration.made(provider, initial_token, **REFRESHING)
    party = client.party()
    tokens = party.redeem(consented(browser, party)).json()
    code = consented(other_browser, party)
    assert provider.userinfo(tokens["access_token"]).status_code == 200

    answer = client.delete()
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"

    assert provider.userinfo(tokens["access_token"]).status_code == 401
    assert party.refresh(tokens["refresh_token"]).status_code in (400, 401)
    assert party.redeem(code).status_code in (400, 401)
    for gone in (client.read(), client.update(), client.delete()):
        assert is_unauthorized(gone)
    time.sleep(1.5)  # every worker looks for changes once a second
    assert party.refresh(tokens["refresh_token"]).json()["error"] == "invalid_client"
    assert browser.authorize(party).status_code == 400


def test_one_of_many_deletions_at_once_is_told_of_success(client: Registration) -> None:
    async def send() -> list[httpx2.Response]:
        async with client.running.async_client() as http:
            headers = bearer(client.token)
            return await asyncio.gather(
                *(http.delete(client.path, headers=headers) for _ in range(20))
            )

    answers = asyncio.run(send())
    assert {it.status_code for it in answers} <= {204, 401}
    assert 204 in {it.status_code for it in answers}
    assert is_unauthorized(client.read())


# Operators


def test_a_client_that_an_operator_disabled_cannot_manage_itself(client: Registration) -> None:
    settings = load(client.running.directory / "idp.toml")

    async def disable(store: Store) -> o.ClientUpdate:
        found = await store.client_read(client.client_id)
        assert isinstance(found, o.FoundClient)
        registry = ClientRegistry(store, by=By("tests", "abuse"), now=now())
        return await registry.disable(Registered.of(found.client))

    assert with_store(settings, disable) == o.Changed()
    for answer in (client.read(), client.update(), client.delete()):
        assert (answer.status_code, answer.json()["error"]) == (403, "access_denied")
    assert is_unauthorized(client.read("made-up"))


def test_the_audit_trail_tells_what_a_client_did(client: Registration) -> None:
    token = done(client.update(client_name="Grocery"))["registration_access_token"]
    client.read(token)
    client.delete(token)

    async def told(store: Store) -> list[tuple[str, str | None, str | None]]:
        rows = await store.audit_read(limit=1_000_000, client_id=client.client_id)
        return [(row.event, row.by, row.detail) for row in rows]

    settings = load(client.running.directory / "idp.toml")
    registered, *events = with_store(settings, told)
    assert registered[0] == "client_registered"
    itself = "the client itself"
    assert events == [
        ("client_updated", itself, '{"changed":["client_name"]}'),
        ("client_token_replaced", itself, None),
        ("client_deleted", itself, None),
    ]


def test_a_verified_token_makes_verified_clients(provider: Running, browser: Browser) -> None:
    policy = RegistrationPolicy(POLICY.scopes, POLICY.grant_types, (), verified=True)
    pages = []
    for made_by in (policy, POLICY):
        token = initial_access_token(provider, made_by)
        party = Registration.made(provider, token, redirect_uris=[DEMO_CALLBACK]).party()
        browser.http.cookies.clear()
        browser.authorize(party)
        browser.prove(new_phone())
        browser.submit("profile", given_name="Анна", terms="accepted")
        pages.append("unverified" in browser.get("consent").text)
    assert pages == [False, True]
