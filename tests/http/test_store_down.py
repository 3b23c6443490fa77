"""What clients and customers are told while the store does not answer, and that it passes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.http.provider import (
    Browser,
    RelyingParty,
    Running,
    new_test_number,
    parameters_of,
)
from tests.http.provider import provider as run_provider
from tests.process.processes import eventually

CALL_SECONDS = 0.5
ANSWER_SECONDS = 3.0  # the limit of a call, and room for a busy machine


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    with run_provider(toml=f"store = {{ call_timeout_seconds = {CALL_SECONDS} }}\n") as running:
        yield running
        assert "internal_error" not in running.server.output
        assert "store_bug" not in running.server.output


class Everybody:
    """Whoever is there when the store goes away, each with a request that needs it."""

    def __init__(self, browser: Browser) -> None:
        self.provider = browser.provider
        self.party = RelyingParty(browser.provider)
        self.bot = RelyingParty(browser.provider, "demo-bot")
        self.app = RelyingParty(browser.provider, "demo-native")
        self.browser = browser
        self.phone = new_test_number()
        self.tokens: dict[str, Any] = browser.tokens(self.party, self.phone)
        self.bot.post("/otp", phone=self.phone)  # its secret is known from now on
        browser.authorize(self.party, prompt="login")
        browser.submit("phone", phone=self.phone)

    def clients(self) -> dict[str, Callable[[], httpx2.Response]]:
        """Requests that are answered in JSON."""
        token = self.tokens["refresh_token"]
        return {
            "code": lambda: self.party.redeem("nothing"),
            "refresh": lambda: self.party.refresh(token),
            "revoke": lambda: self.party.post("/revoke", token=self.tokens["access_token"]),
            "otp": lambda: self.bot.post("/otp", phone=self.phone),
            "challenge": lambda: self.app.post("/authorize-challenge", **self.app.request()),
            "userinfo": lambda: self.provider.userinfo(self.tokens["access_token"]),
            "readyz": lambda: self._get("/readyz"),
        }

    def customers(self) -> dict[str, Callable[[], httpx2.Response]]:
        """Requests that are answered by a page."""
        request = self.party.request()
        return {
            "unknown client": lambda: self._get("/authorize?client_id=never-seen"),
            "request by post": lambda: self.browser.http.post("/authorize", data=request),
            "continuation": lambda: self._get("/authorize/continue?request_id=x"),
            "phone page": lambda: self.browser.get("phone"),
            "code": lambda: self.browser.submit("code", code="111111"),
            "cancel": lambda: self.browser.submit("cancel"),
            "logout": lambda: self._get("/logout?id_token_hint=" + self.tokens["id_token"]),
            "logo": lambda: self._get("/channels/demo/logo.svg"),
        }

    def _get(self, target: str) -> httpx2.Response:
        with self.provider.client() as client:
            return client.get(target)


@pytest.fixture
def everybody(browser: Browser) -> Everybody:
    return Everybody(browser)


@pytest.fixture
def stopped(everybody: Everybody) -> Iterator[Everybody]:
    """Everybody, while the store is frozen."""
    pid = everybody.provider.server.tarantool()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield everybody
    finally:
        os.kill(pid, signal.SIGCONT)
        eventually(everybody.provider.server.ready, "the store answers again")


def _at_once(
    requests: dict[str, Callable[[], httpx2.Response]],
) -> dict[str, httpx2.Response]:
    began = time.monotonic()
    with ThreadPoolExecutor(len(requests)) as pool:
        waiting = {name: pool.submit(request) for name, request in requests.items()}
        answers = {name: answer.result() for name, answer in waiting.items()}
    assert time.monotonic() - began < ANSWER_SECONDS
    return answers


def test_a_client_is_told_in_json_to_come_again(stopped: Everybody) -> None:
    for name, answer in _at_once(stopped.clients()).items():
        assert answer.status_code == 503, name
        assert answer.json() == {"error": "temporarily_unavailable"}, name
        assert answer.headers["retry-after"] == "1", name
        assert answer.headers["cache-control"] == "no-store", name


def test_a_customer_is_told_on_a_page_to_come_again(stopped: Everybody) -> None:
    for name, answer in _at_once(stopped.customers()).items():
        assert answer.status_code == 503, name
        assert answer.headers["content-type"].startswith("text/html"), name
        assert answer.headers["retry-after"] == "1", name
        assert "location" not in answer.headers, name
        # Nobody is signed out of a browser because the store is slow.
        assert "set-cookie" not in answer.headers, name


def test_a_proven_client_hears_of_it_by_redirect(stopped: Everybody) -> None:
    answer = stopped.browser.authorize(stopped.party)
    told = parameters_of(answer)
    assert told["error"] == "temporarily_unavailable"
    assert told["state"] == stopped.party.state
    assert told["iss"] == stopped.provider.issuer


def test_what_needs_no_store_is_answered(stopped: Everybody) -> None:
    with stopped.provider.client() as client:
        for path in ("/livez", "/jwks", "/.well-known/openid-configuration", "/static/icon.svg"):
            assert client.get(path).status_code == 200, path
        assert client.get("/authorize?client_id=demo").status_code == 400


def test_what_was_frozen_is_taken_up_again(everybody: Everybody) -> None:
    pid = everybody.provider.server.tarantool()
    os.kill(pid, signal.SIGSTOP)
    try:
        _at_once(everybody.clients())
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(everybody.provider.server.ready, "the store answers again")
    assert everybody.provider.server.tarantool() == pid
    # The revocation was uncertain and has happened; the refresh token was rotated or not, and in
    # either case the one that the client still has is good.
    assert everybody.provider.userinfo(everybody.tokens["access_token"]).status_code == 401
    assert everybody.party.refresh(everybody.tokens["refresh_token"]).status_code == 200
    assert "code" in everybody.browser.sign_in(everybody.party, everybody.phone)


def test_a_killed_store_comes_back_with_all_that_it_had(everybody: Everybody) -> None:
    server = everybody.provider.server
    pid = server.tarantool()
    os.kill(pid, signal.SIGKILL)
    for name, answer in _at_once(everybody.clients()).items():
        # Some meet the new store already, after one another.
        assert answer.status_code < 500 or answer.status_code == 503, name
    eventually(server.ready, "a new store answers", 10)
    assert server.tarantool() != pid
    assert everybody.party.refresh(everybody.tokens["refresh_token"]).status_code == 200
    answer = everybody.browser.submit("code", code="000000")
    assert "code" in parameters_of(answer)
