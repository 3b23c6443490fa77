"""Well-formed requests whose values are hostile: tokens, credentials, phones, codes, names."""

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.http.provider import (
    PHONE_OTP,
    Browser,
    RelyingParty,
    Running,
    claims_of,
    hidden_fields,
    new_phone,
    new_test_number,
    parameters_of,
)
from tests.http.wire import FORM, exchange, is_a_page_that_leads_nowhere, watched


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    with watched() as running:
        yield running


@contextlib.contextmanager
def _opened(running: Running) -> Iterator[Browser]:
    browser = Browser(running)
    yield browser
    browser.http.close()


@pytest.fixture(scope="module")
def issued(provider: Running) -> dict[str, Any]:
    """What a real customer's sign-in gave to the demo channel."""
    with _opened(provider) as browser:
        return browser.tokens(RelyingParty(provider), new_test_number())


# Tokens and codes


def _b64(members: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def _forgeries(token: str) -> dict[str, str]:
    header, payload, signature = token.split(".")
    fields = json.loads(base64.urlsafe_b64decode(header + "=="))
    other = "A" if signature[5] != "A" else "B"
    return {
        "alg none": f"{_b64(fields | {'alg': 'none'})}.{payload}.",
        "alg none, signed": f"{_b64(fields | {'alg': 'none'})}.{payload}.{signature}",
        "HS256": f"{_b64(fields | {'alg': 'HS256'})}.{payload}.{signature}",
        "own key": f"{_b64(fields | {'jwk': {'kty': 'oct', 'k': 'A'}})}.{payload}.{signature}",
        "crit": f"{_b64(fields | {'crit': ['b64'], 'b64': False})}.{payload}.{signature}",
        "kid traversal": f"{_b64(fields | {'kid': '../../dev/null'})}.{payload}.{signature}",
        "deep header": f"{'W1tb' * 2000}.{payload}.{signature}",
        "other payload": f"{header}.{_b64(claims_of(token) | {'sub': 'root'})}.{signature}",
        "signature": f"{header}.{payload}.{signature[:5]}{other}{signature[6:]}",
        "no signature": f"{header}.{payload}.",
        "padded": f"{header}.{payload}.{signature}=",
        "second spelling": f"{header}.{payload}.{signature} ",
        "two payloads": f"{header}.{payload}.{payload}.{signature}",
        "huge": token + "A" * 10_000,
        "non-ASCII": "\u0442\u043e\u043a\u0435\u043d." * 3,
        "dots": "." * 500,
        "quotes": '"\\"; error="none',
        "a word": "S3CRET",
    }


FORGERIES = sorted(_forgeries(f"{_b64({})}.{_b64({})}.AAAAAAAA"))


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_token_opens_nothing(
    provider: Running, party: RelyingParty, issued: dict[str, Any], forgery: str
) -> None:
    access_token = _forgeries(issued["access_token"])[forgery]
    hint = _forgeries(issued["id_token"])[forgery]
    bearer = (b"Authorization", b"Bearer " + access_token.strip().encode())
    if access_token == access_token.strip():  # a header's value is trimmed
        answer = exchange(provider, "GET", b"/userinfo", (bearer,))
        assert (answer.status, answer.json["error"]) == (401, "invalid_token")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    with provider.client() as client:
        by_form = client.post("/userinfo", data={"access_token": access_token})
        assert (by_form.status_code, by_form.json()["error"]) == (401, "invalid_token")
        asked = client.get("/authorize", params=party.request(id_token_hint=hint))
        assert parameters_of(asked)["error"] == "invalid_request"
        is_a_page_that_leads_nowhere(client.get("/logout", params={"id_token_hint": hint}))
    for answered in (party.refresh(access_token), party.redeem(access_token)):
        assert (answered.status_code, answered.json()["error"]) == (400, "invalid_grant")
        assert answered.headers["cache-control"] == "no-store"
    # RFC 7009 2.2: a token that is none needs no revoking.
    assert party.post("/revoke", token=access_token).status_code == 200
    assert provider.userinfo(issued["access_token"]).status_code == 200


@pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
def test_another_kind_of_token_is_no_access_token(
    provider: Running, issued: dict[str, Any], kind: str
) -> None:
    answer = provider.userinfo(issued[kind])
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_another_kind_of_token_is_no_hint(
    provider: Running, party: RelyingParty, issued: dict[str, Any], kind: str
) -> None:
    with provider.client() as client:
        asked = client.get("/authorize", params=party.request(id_token_hint=issued[kind]))
        assert parameters_of(asked)["error"] == "invalid_request"
        told = client.get("/logout", params={"id_token_hint": issued[kind]})
        is_a_page_that_leads_nowhere(told)


def test_an_expired_token_opens_nothing(hasty: Running) -> None:
    with _opened(hasty) as browser:
        tokens = browser.tokens(RelyingParty(hasty), new_test_number())
    while hasty.userinfo(tokens["access_token"]).status_code == 200:
        pass
    answer = hasty.userinfo(tokens["access_token"])
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


@pytest.mark.parametrize("scope", ["  ", "openid  phone", " openid", "openid\tphone", "\u00a0"])
def test_a_malformed_scope_takes_nothing_and_costs_nothing(
    party: RelyingParty, issued: dict[str, Any], scope: str
) -> None:
    answer = party.refresh(issued["refresh_token"], scope=scope)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


# Client credentials


def _basic(pair: bytes) -> bytes:
    return b"Basic " + base64.b64encode(pair)


@pytest.mark.parametrize("target", [b"/token", b"/otp", b"/revoke"])
@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic",
        b"Basic !!!",
        b"Basic " + base64.b64encode(b"demo:x").rstrip(b"=") + b"*",
        b"Basic \xff\xfe",
        _basic(b"no colon"),
        _basic(b"\xff:\xfe"),
        _basic(b"de\0mo:x"),
        _basic(b"demo:\0"),
        _basic(b"demo:%00%ff"),
        _basic(b"%00:%00"),
        _basic(b":"),
        _basic(b"demo:"),
        _basic(b"demo:" + b"S3CRET" * 2000),
        _basic(b"demo-native:"),
        _basic(b"demo-rs256:S3CRET"),
        b"Bearer S3CRET",
        b'Digest username="demo"',
        b"Negotiate " + b"A" * 9000,
    ],
)
def test_a_bad_authorization_header_is_an_invalid_client(
    provider: Running, target: bytes, header: bytes
) -> None:
    headers = (
        (b"Authorization", header),
        (b"Accept", b"text/html"),
        (b"Content-Type", FORM),
    )
    body = b"grant_type=refresh_token&refresh_token=S3CRET&token=S3CRET&phone=%2B79160000000"
    answer = exchange(provider, "POST", target, headers, body)
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.headers["cache-control"] == "no-store"


# Phones and one-time codes


NO_PHONES = [
    *("", "+7", "+", "0", "112", "900", "phone", "8-800-FLOWERS", "+7916ABCDEFG", "1234567"),
    *("+7916123456789012345678901234567890", "9" * 41, "9" * 15_000, "\U0001f4f1", "'; drop--"),
    *("+79161234567 ext 5", "tel:+79161234567", "1234;phone-context=+7916", "+7916123456\u202e7"),
    *("8 800 555 35 35", "+7 809 505 12 34", "+44 909 879 0123", "+979 123 456 789"),
    *("+1 900 555 1234", "+12345678", "<script>", "%2B7916123456"),
]


@pytest.mark.parametrize("phone", NO_PHONES)
def test_what_is_no_customers_phone_gets_no_message(
    provider: Running, browser: Browser, party: RelyingParty, phone: str
) -> None:
    def messages() -> Any:
        return browser.http.get("/dev/inbox.json").json()

    before = messages()
    browser.authorize(party)
    answer = browser.submit("phone", phone=phone)
    assert answer.status_code == 400
    assert "<script>" not in re.sub(r"<script (nonce|src)=", "", answer.text)
    bot = RelyingParty(provider, "demo-bot").post("/otp", phone=phone)
    assert (bot.status_code, bot.json()["error"]) == (400, "invalid_request")
    assert messages() == before


NO_CODES = [
    *("", "0", "00000", "0000000", "-00000", "+00000", "0x0000", "1e5", "000000\u200b"),
    *("\u0660" * 6, "\uff10" * 6, "\u00b2" * 6, "zeroes", "0" * 15_000, "0.0000"),
]


@pytest.mark.parametrize("code", NO_CODES)
def test_what_is_no_code_costs_no_try(
    provider: Running, browser: Browser, party: RelyingParty, code: str
) -> None:
    browser.authorize(party)
    browser.submit("phone", phone=new_test_number())
    answer = browser.submit("code", code=code)
    assert answer.headers["location"] == f"{browser.interaction}/code?error=code_malformed"
    assert "code" in parameters_of(_registered(browser))

    bot = RelyingParty(provider, "demo-bot")
    session = bot.post("/otp", phone=new_test_number()).json()["otp_session"]
    refused = bot.token(grant_type=PHONE_OTP, otp_session=session, otp=code or "x")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert "tries_left" not in refused.json()


def _registered(browser: Browser) -> httpx2.Response:
    response = browser.submit("code", code=" 000 000 ")
    if response.headers["location"].endswith("/profile"):
        return browser.submit("profile", given_name="Анна", terms="accepted")
    return response


# Cookies and tokens against cross-site requests


@pytest.mark.parametrize("page", ["phone", "code", "resend", "profile", "cancel"])
@pytest.mark.parametrize("csrf", ["", "x", "\u0442\u043e\u043a\u0435\u043d", "A" * 43, "other"])
def test_a_form_without_its_token_does_nothing(
    provider: Running, browser: Browser, party: RelyingParty, page: str, csrf: str
) -> None:
    browser.authorize(party)
    if csrf == "other":
        with _opened(provider) as other:
            other.authorize(party)
            csrf = hidden_fields(other.get("phone").text)["csrf"]
    answer = browser.http.post(
        f"{browser.interaction}/{page}", data={"csrf": csrf, "phone": new_phone()}
    )
    assert answer.status_code == 403
    assert browser.get("phone").status_code == 200


@pytest.mark.parametrize("cookie", [b"", b"S3CRET", b"\xd1\x82", b"A" * 8000, b"other"])
def test_an_interaction_is_only_its_own_browsers(
    provider: Running, browser: Browser, party: RelyingParty, cookie: bytes
) -> None:
    browser.authorize(party)
    if cookie == b"other":
        with _opened(provider) as other:
            other.authorize(party)
            cookie = next(iter(other.http.cookies.values())).encode()
    name = "interaction-" + browser.interaction.rsplit("/", 1)[1]
    for page in ("phone", "code", "profile"):
        target = f"{browser.interaction}/{page}".encode()
        answer = exchange(provider, "GET", target, ((b"Cookie", name.encode() + b"=" + cookie),))
        assert answer.status == 400
        assert answer.is_page
        assert answer.headers["set-cookie"] is None


# Names


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('<script>alert(1)</script>"', '<script>alert(1)</script>"'),
        ("{{ 7 * 7 }}", "{{ 7 * 7 }}"),
        ("Ан\u202eна\u2066 \x1b[31m", "Анна [31m"),
        ("\ufeff Анна\u200b\r\n\tМария ", "Анна Мария"),
        ("Анна\u0301" + "\u0301" * 90, "Анна\u0301" + "\u0301" * 90),
    ],
)
def test_a_hostile_name_is_kept_as_one_harmless_line(
    browser: Browser, party: RelyingParty, given: str, kept: str
) -> None:
    browser.authorize(party)
    browser.prove(new_phone())
    shown = browser.submit("profile", given_name=given)  # the terms are missing
    assert shown.status_code == 400
    assert "<script>alert" not in shown.text
    answer = browser.submit("profile", given_name=given, terms="accepted")
    tokens = party.redeem(parameters_of(answer)["code"]).json()
    userinfo = browser.provider.userinfo(tokens["access_token"]).json()
    assert userinfo["given_name"] == kept


def test_a_name_that_is_none_is_refused(browser: Browser, party: RelyingParty) -> None:
    browser.authorize(party)
    browser.prove(new_phone())
    for name in ("", "  ", "\u200b", "\u202e\u2066", "\x07", "я" * 101, "a" * 10_000, "a\0b"):
        assert browser.submit("profile", given_name=name, terms="1").status_code == 400, name
    large = browser.submit("profile", given_name="a" * 20_000, terms="1")
    assert large.status_code == 413
