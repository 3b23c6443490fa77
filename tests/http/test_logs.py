"""What the server tells its operator: all that happened, and nothing that anybody could use."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.http.provider import (
    PHONE_OTP,
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    hidden_fields,
    new_phone,
    parameters_of,
)
from tests.http.provider import provider as run_provider
from tests.process.processes import eventually


@pytest.fixture(scope="module")
def quiet() -> Iterator[Running]:
    """A provider whose every request is of this module."""
    with run_provider() as running:
        yield running


def log(running: Running) -> str:
    """The log; what the development inbox shows on the terminal is no part of it."""
    lines = running.server.output.splitlines()
    return "\n".join(line for line in lines if not line.startswith("  SMS to "))


def requests(running: Running) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in log(running).splitlines()]
    return [line for line in lines if line["event"] == "request"]


def awaited(running: Running, reference: str) -> dict[str, Any]:
    """The log line with a reference; it is written when the answer is sent already."""

    def found() -> list[dict[str, Any]]:
        return [line for line in requests(running) if line["reference"] == reference]

    eventually(lambda: bool(found()), "the request is in the log")
    (line,) = found()
    return line


def reference_of(page: httpx2.Response) -> str:
    match = re.search(r"<code>(\w+)</code>", page.text)
    assert match is not None
    return match[1]


class Watched:
    """Clients that remember each secret that they send or receive."""

    def __init__(self, browser: Browser) -> None:
        self.secrets: dict[str, str] = {}
        self.browser = browser
        self.browser.http.event_hooks = {"response": [self._remember]}

    def _remember(self, response: httpx2.Response) -> None:
        for cookie in response.headers.get_list("set-cookie"):
            value = cookie.partition("=")[2].partition(";")[0]
            self.add(f"cookie of {response.url.path}", value)
        location = response.headers.get("location", "")
        if "code=" in location or "request_id=" in location:
            for name, value in parameters_of(response).items():
                if name != "iss":
                    self.add(f"{name} of a redirect", value)

    def add(self, name: str, value: object) -> None:
        if isinstance(value, str) and len(value) > 3:
            self.secrets[value] = name

    def add_tokens(self, answer: dict[str, Any]) -> None:
        for name in ("access_token", "id_token", "refresh_token", "otp_session"):
            self.add(name, answer.get(name))
            for part in str(answer.get(name, "")).split("."):
                self.add(f"part of {name}", part if len(part) > 20 else None)


def pages(watched: Watched, party: RelyingParty) -> dict[str, Any]:
    """A sign-in at the pages with everything that may go wrong there; the tokens."""
    browser, phone = watched.browser, new_phone()
    digits = phone.removeprefix("+")
    spoken = f"8 {digits[1:4]} {digits[4:7]}-{digits[7:9]}-{digits[9:]}"
    for written in (phone, digits, digits[1:], spoken, f"{phone}9999999", f"{phone} ext. 7"):
        watched.add("phone", written)
    posted = browser.http.post("/authorize", data=party.request(login_hint=phone))
    browser.arrive(browser.http.get(posted.headers["location"]))
    watched.add("csrf", hidden_fields(browser.get("phone").text)["csrf"])
    for written in (f"{phone}9999999", f"{phone} ext. 7", spoken):
        browser.submit("phone", phone=written)
    code = browser.provider.code_for(phone)
    watched.add("one-time code", code)
    watched.add("wrong one-time code", wrong := f"{(int(code) + 1) % 10**6:06}")
    browser.submit("code", code=wrong)
    browser.submit("code", code=code)
    answer = parameters_of(browser.submit("profile", given_name="Евлампия", terms="accepted"))
    watched.add("name", "Евлампия")
    tokens: dict[str, Any] = party.redeem(answer["code"]).json()
    watched.add_tokens(tokens)
    party.redeem(answer["code"])
    return tokens


def mistakes(watched: Watched, party: RelyingParty, tokens: dict[str, Any]) -> None:
    """Requests that are refused, with secrets where they should not be."""
    http = watched.browser.http
    watched.add("wrong client secret", "wrong-client-secret")
    http.post("/token", data={"grant_type": "x"}, auth=("demo", "wrong-client-secret"))
    http.post("/token", data=party.request(client_secret="wrong-client-secret"))
    http.get("/authorize", params=party.request(redirect_uri="https://evil.example.com/secretly"))
    http.get("/authorize", params=party.request(id_token_hint=tokens["id_token"] + "x"))
    http.get(f"/nowhere/{tokens['access_token']}?token={tokens['access_token']}")
    http.get(f"{watched.browser.interaction}/nowhere")
    http.get("/userinfo", params={"access_token": tokens["access_token"]})
    http.get("/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}x"})
    http.get("/logout", params={"id_token_hint": tokens["id_token"], "state": "the-state"})
    http.get("/", headers={"Host": "evil.example.com", "Cookie": "session=planted-cookie"})
    party.refresh(tokens["refresh_token"])
    party.post("/revoke", token=tokens["refresh_token"])
    watched.add("unproven address", "https://evil.example.com/secretly")
    watched.add("state of a logout", "the-state")
    watched.add("planted cookie", "planted-cookie")


def test_no_secret_and_no_phone_is_ever_logged(quiet: Running, open_browser: OpenBrowser) -> None:
    party, watched = RelyingParty(quiet), Watched(open_browser(quiet))
    for name in ("demo", "demo-bot"):
        watched.add(f"secret of {name}", quiet.secret(name))
    for name, value in party.request().items():
        if name in ("state", "nonce", "code_challenge"):
            watched.add(name, value)
    watched.add("code_verifier", party.verifier)
    mistakes(watched, party, pages(watched, party))

    bot, phone = RelyingParty(quiet, "demo-bot"), new_phone()
    watched.add("phone of the bot", phone.removeprefix("+"))
    started = bot.post("/otp", phone=phone).json()
    watched.add_tokens(started)
    watched.add("one-time code of the bot", otp := quiet.code_for(phone))
    grant = {"grant_type": PHONE_OTP, "otp_session": started["otp_session"]}
    bot.token(**grant, otp="000000" if otp != "000000" else "000001")
    watched.add_tokens(bot.token(**grant, otp=otp).json())

    last = watched.browser.http.get("/nowhere")
    awaited(quiet, reference_of(last))
    written = log(quiet)
    assert [name for secret, name in watched.secrets.items() if secret in written] == []
    assert len(watched.secrets) > 40


def test_the_metrics_tell_none_either(quiet: Running) -> None:
    with quiet.client() as client:
        client.get("/nowhere/a-secret-in-a-path?code=a-secret-in-a-query")
        client.patch("/interaction/a-secret/phone")

        def counted() -> bool:
            return 'method="PATCH",route="/interaction/{interaction_id}/phone"' in told()

        def told() -> str:
            return client.get(quiet.metrics).text

        eventually(counted, "all requests are counted")
        assert "a-secret" not in told()


def test_every_request_is_one_line_of_json(quiet: Running) -> None:
    sent = [
        ("GET", "/jwks", "/jwks", 200),
        ("GET", "/userinfo", "/userinfo", 401),
        ("GET", "/authorize", "/authorize", 400),
        ("GET", "/interaction/secret-id/phone", "/interaction/{interaction_id}/phone", 400),
        ("GET", "/static/style.css", "/static", 200),
        ("POST", "/nowhere", "(none)", 404),
    ]
    with quiet.client() as client:
        awaited(quiet, reference_of(client.get("/nowhere")))
        before = len(requests(quiet))
        for method, path, _, _ in sent:
            client.request(method, f"{path}?secret=query")
    eventually(lambda: len(requests(quiet)) >= before + len(sent), "all are in the log")
    lines = requests(quiet)[before:]
    told = [(line["method"], line["route"], line["status"]) for line in lines]
    # A line is written when its answer is sent already, so the next one may come first.
    assert sorted(told) == sorted((method, route, status) for method, _, route, status in sent)
    for line in lines:
        assert line["address"] == "127.0.0.1"
        assert line["ms"] >= 0
        assert "secret" not in json.dumps(line)


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/authorize", "invalid_request"),
        ("/authorize?client_id=nobody", "unknown_client"),
        ("/nowhere", "not_found"),
        ("/interaction/none/phone", "expired_journey"),
        ("/logout?id_token_hint=x", "invalid_request"),
    ],
)
def test_the_reference_of_an_error_page_finds_its_line(
    quiet: Running, path: str, error: str
) -> None:
    with quiet.client() as client:
        page = client.get(path)
    line = awaited(quiet, reference_of(page))
    assert (line["status"], line["error"]) == (page.status_code, error)


@pytest.mark.parametrize(
    ("client_id", "detail"), [("demo", "wrong secret"), ("nobody", "unknown client")]
)
def test_what_a_client_is_not_told_is_in_the_log(
    quiet: Running, client_id: str, detail: str
) -> None:
    with quiet.client() as client:
        refused = client.post(
            "/token", data={"grant_type": "refresh_token"}, auth=(client_id, "wrong")
        )
    assert refused.json() == {"error": "invalid_client"}

    def told() -> set[tuple[str | None, str | None]]:
        return {(line.get("error"), line.get("detail")) for line in requests(quiet)}

    eventually(lambda: ("invalid_client", detail) in told(), "the detail is in the log")


def test_every_line_of_the_log_is_json(quiet: Running) -> None:
    for line in log(quiet).splitlines():
        assert {"event", "level", "timestamp"} <= json.loads(line).keys()
