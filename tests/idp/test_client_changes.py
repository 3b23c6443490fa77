"""`idp clients`, beside a running server that must obey soon, and in part at once."""

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from keys.hashing import random_id
from tests.http.assertions import REFRESH, claims, is_proven, mac, present
from tests.http.provider import DEMO_CALLBACK, Browser, RelyingParty, Running, new_phone
from tests.http.provider import provider as run_provider
from tests.idp.conftest import Run
from tests.process.processes import eventually

OPTIONS = (
    *("--channel", "demo", "--redirect-uri", DEMO_CALLBACK),
    *("--grant-type", "authorization_code", "--grant-type", "refresh_token"),
)
Command = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    with run_provider(workers=2) as running:
        yield running


@pytest.fixture
def clients(provider: Running, run: Run) -> Command:
    """Runs a command of `idp clients` that succeeds; gives what it prints as JSON."""

    def clients(*arguments: str) -> dict[str, Any]:
        config = str(provider.directory / "idp.toml")
        code, out, err = run("clients", *arguments, "--config", config, "--json")
        assert code == 0, out + err
        answer: dict[str, Any] = json.loads(out)
        return answer

    return clients


class Party(RelyingParty):
    """A relying party that keeps its secret by itself."""

    secret = ""

    def post(self, path: str, **parameters: str | None) -> httpx2.Response:
        given = {name: value for name, value in parameters.items() if value is not None}
        with self.provider.client() as client:
            return client.post(path, data=given, auth=(self.client_id, self.secret))


@pytest.fixture
def browser(provider: Running) -> Iterator[Browser]:
    opened = Browser(provider)
    with contextlib.closing(opened.http):
        yield opened


@pytest.fixture
def party(provider: Running, clients: Command) -> Party:
    made = Party(provider, f"shop-{random_id()}", scope="openid phone offline_access")
    made.secret = clients("create", made.client_id, *OPTIONS)["client_secret"]
    return made


def soon(party: Party, secret: str, error: str) -> None:
    """Every worker comes to answer so."""
    deadline, agreed = time.monotonic() + 10, 0
    while agreed < 8:
        with party.provider.client() as client:
            answer = client.post("/token", data=REFRESH, auth=(party.client_id, secret)).json()
        agreed = agreed + 1 if answer["error"] == error else 0
        assert agreed or time.monotonic() < deadline, answer
        time.sleep(0.05)


def is_good(party: Party, secret: str) -> bool:
    with party.provider.client() as client:
        answer = client.post("/token", data=REFRESH, auth=(party.client_id, secret))
    return bool(answer.json()["error"] == "invalid_grant")


def test_a_new_client_is_known_at_once(party: Party) -> None:
    assert party.refresh("none").json()["error"] == "invalid_grant"


def test_both_secrets_are_good_until_the_old_one_is_not(party: Party, clients: Command) -> None:
    old = party.secret
    new = clients("rotate-secret", party.client_id, "--keep-old", "24h")["client_secret"]
    soon(party, new, "invalid_grant")
    soon(party, old, "invalid_grant")
    newest = clients("rotate-secret", party.client_id, "--keep-old", "3s")["client_secret"]
    soon(party, old, "invalid_client")
    soon(party, newest, "invalid_grant")
    # Nobody tells the workers that the time is over.
    time.sleep(3)
    assert not is_good(party, new)
    assert is_good(party, newest)


def test_both_secrets_make_good_macs(provider: Running, clients: Command) -> None:
    client_id = f"shop-{random_id()}"
    made = clients("create", client_id, *OPTIONS, "--auth-method", "client_secret_jwt")
    rotated = clients("rotate-secret", client_id)
    time.sleep(2)  # every worker looks for changes once a second
    for secret in (rotated["client_secret"], made["client_secret"]):
        assert is_proven(present(provider, mac(claims(provider, client_id), secret)))
    assert not is_proven(present(provider, mac(claims(provider, client_id), "another")))


def test_a_disabled_client_is_out_and_its_tokens_at_once(
    party: Party, browser: Browser, clients: Command
) -> None:
    tokens = browser.tokens(party, new_phone(), prompt="consent")

    clients("disable", party.client_id, "--reason", "a leak")

    refused = party.refresh(tokens["refresh_token"])
    assert refused.json()["error"] in ("invalid_grant", "invalid_client")
    assert party.provider.userinfo(tokens["access_token"]).status_code == 401
    soon(party, party.secret, "invalid_client")
    eventually(lambda: browser.authorize(party).status_code == 400, "every worker knows", 5)

    clients("enable", party.client_id)
    soon(party, party.secret, "invalid_grant")
    assert party.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert party.provider.userinfo(tokens["access_token"]).status_code == 401
    again = browser.tokens(party, new_phone(), prompt="login")
    assert party.provider.userinfo(again["access_token"]).status_code == 200


def test_a_scope_that_was_taken_away_is_not_refreshed(
    party: Party, browser: Browser, clients: Command
) -> None:
    tokens = browser.tokens(party, new_phone(), prompt="consent")
    left = [it for it in tokens["scope"].split() if it != "phone"]
    assert len(left) < len(tokens["scope"].split())

    clients("update", party.client_id, "--scope", " ".join(left))

    def refreshed() -> bool:
        tokens.update(party.refresh(tokens["refresh_token"]).json())
        return bool(tokens["scope"] == " ".join(left))

    eventually(refreshed, "every worker knows", 5)


def test_a_deleted_client_is_out(party: Party, clients: Command) -> None:
    clients("delete", party.client_id, "--reason", "closed", "--yes")
    soon(party, party.secret, "invalid_client")


def test_another_method_is_demanded_once_it_is_registered(party: Party, clients: Command) -> None:
    clients("update", party.client_id, "--auth-method", "client_secret_post")
    soon(party, party.secret, "invalid_client")
    credentials = {"client_id": party.client_id, "client_secret": party.secret}
    with party.provider.client() as client:
        assert client.post("/token", data=REFRESH | credentials).json()["error"] == "invalid_grant"


def test_basic_credentials_are_form_encoded(provider: Running, clients: Command) -> None:
    client_id = f"a~b.c_d-{random_id()}"
    secret = clients("create", client_id, *OPTIONS)["client_secret"]
    # RFC 6749 2.3.1: a library that encodes more than it must is understood too.
    pair = ":".join("".join(f"%{byte:02X}" for byte in it.encode()) for it in (client_id, secret))
    header = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    with provider.client() as client:
        answer = client.post("/token", data=REFRESH, headers=header)
    assert answer.json()["error"] == "invalid_grant"
