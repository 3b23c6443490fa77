import re
from collections.abc import Iterator

import httpx2
import pytest

from tests.http.provider import (
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    new_phone,
    parameters_of,
)
from tests.http.provider import provider as run_provider
from tests.process.processes import eventually

CSP = re.compile(
    r"default-src 'none'; style-src 'self' 'nonce-([\w-]+)'; script-src 'self' 'nonce-\1'; "
    r"img-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action (.+)"
)


@pytest.fixture(scope="module")
def https() -> Iterator[Running]:
    """A provider that ends TLS itself, and trusts a proxy."""
    with run_provider(https=True, toml='trusted_proxies = ["127.0.0.1"]\n') as running:
        yield running


def policy(page: httpx2.Response) -> tuple[str, str]:
    """The nonce and the form-action of a page."""
    match = CSP.fullmatch(page.headers["content-security-policy"])
    assert match is not None, page.headers["content-security-policy"]
    return match[1], match[2]


def pages(browser: Browser, party: RelyingParty) -> list[httpx2.Response]:
    """One page of each kind."""
    browser.authorize(party)
    phone = browser.get("phone")
    browser.submit("phone", phone=(number := new_phone()))
    code = browser.get("code")
    browser.submit("code", code=browser.provider.code_for(number))
    profile = browser.get("profile")
    failed = browser.authorize(party, client_id="nobody")
    return [phone, code, profile, failed, browser.http.get("/logout"), browser.http.get("/nowhere")]


def test_every_answer_has_the_security_headers(browser: Browser, party: RelyingParty) -> None:
    paths = ("/jwks", "/userinfo", "/livez", "/readyz", "/static/style.css", "/nowhere", "/token")
    for answer in (*pages(browser, party), *(browser.http.get(path) for path in paths)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in answer.headers
        assert "server" not in answer.headers


def test_no_page_is_kept_or_framed_or_runs_anybody_elses_script(
    browser: Browser, party: RelyingParty
) -> None:
    nonces = set()
    for page in pages(browser, party):
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-frame-options"] == "DENY"
        nonce, _ = policy(page)
        nonces.add(nonce)
        inline = re.findall(r"<(?:script|style)([^>]*)>", page.text)
        assert all(f'nonce="{nonce}"' in tag or "src=" in tag for tag in inline)
        assert not re.search(r"\son\w+=|\sstyle=|javascript:", page.text)
    assert len(nonces) == 6


@pytest.mark.parametrize(
    ("client_id", "redirect_uri", "source"),
    [
        ("demo", "http://localhost:8001/callback", "http://localhost:8001"),
        ("demo-native", "http://127.0.0.1:5000/callback", "http://127.0.0.1:5000"),
        # A host source cannot be an IPv6 literal.
        ("demo-native", "http://[::1]:5000/callback", "http:"),
        ("demo-native", "com.example.demo:/callback", "com.example.demo:"),
    ],
)
def test_a_form_may_lead_to_the_proven_redirect_uri_and_nowhere_else(
    provider: Running, browser: Browser, client_id: str, redirect_uri: str, source: str
) -> None:
    browser.authorize(RelyingParty(provider, client_id, redirect_uri))
    assert policy(browser.get("phone"))[1] == f"'self' {source}"


def test_a_confirmed_logout_may_lead_to_its_proven_address(browser: Browser) -> None:
    asked = {"client_id": "demo", "post_logout_redirect_uri": "http://localhost:8001/"}
    assert policy(browser.http.get("/logout", params=asked))[1] == "'self' http://localhost:8001"
    assert policy(browser.http.get("/logout"))[1] == "'self'"


def test_no_redirect_with_a_code_is_kept(browser: Browser, party: RelyingParty) -> None:
    browser.sign_in(party, new_phone())
    answer = browser.authorize(party)
    assert "code=" in answer.headers["location"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_logo_can_do_nothing(browser: Browser) -> None:
    logo = browser.http.get("/channels/demo/logo.svg")
    assert logo.headers["content-type"].startswith("image/svg+xml")
    assert "default-src 'none'" in logo.headers["content-security-policy"]
    assert "sandbox" in logo.headers["content-security-policy"]
    assert logo.headers["cache-control"] == "public, max-age=3600"


def test_static_files_are_kept_for_good_at_urls_that_change(browser: Browser) -> None:
    page = browser.http.get("/logout").text
    found = re.search(r'<link rel="stylesheet" href="([^"]+)">', page)
    assert found is not None
    style = browser.http.get(found[1])
    assert style.status_code == 200
    assert style.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert re.search(r"[0-9a-f]{8}", found[1])


# The host


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1", "127.0.0.1:1", "", "x@y"])
def test_a_foreign_host_is_refused(browser: Browser, party: RelyingParty, host: str) -> None:
    for path in ("/.well-known/openid-configuration", "/authorize", "/nowhere"):
        refused = browser.http.get(path, headers={"Host": host})
        assert refused.status_code == 400
        assert browser.provider.issuer not in refused.text


def test_no_header_changes_a_url(browser: Browser, party: RelyingParty) -> None:
    forged = {
        "Forwarded": "host=evil.example.com;proto=https",
        "X-Forwarded-Host": "evil.example.com",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "X-Original-URL": "/evil",
    }
    for path in ("/.well-known/openid-configuration", "/logout"):
        plain, attacked = (browser.http.get(path, headers=given) for given in ({}, forged))
        assert plain.status_code == attacked.status_code == 200
        assert "evil" not in attacked.text
    browser.http.headers.update(forged)
    answer = browser.authorize(party, prompt="none")
    assert parameters_of(answer)["iss"] == browser.provider.issuer
    assert answer.headers["location"].startswith(party.redirect_uri)


# The address


def address_of(running: Running, forwarded: str) -> str:
    """The address that the log has for a request with this X-Forwarded-For."""
    with running.client() as client:
        page = client.get("/nowhere", headers={"X-Forwarded-For": forwarded})
    found = re.search(r"<code>(\w+)</code>", page.text)
    assert found is not None
    lines: list[str] = []

    def is_logged() -> bool:
        lines[:] = [line for line in running.server.output.splitlines() if found[1] in line]
        return bool(lines)

    eventually(is_logged, "the request is in the log")
    address = re.search(r'"address": ?"([^"]+)"', lines[0])
    assert address is not None
    return address[1]


def test_a_forged_forwarded_for_is_ignored(provider: Running) -> None:
    assert address_of(provider, "203.0.113.7") == "127.0.0.1"


def test_a_trusted_proxy_may_say_where_a_request_came_from(https: Running) -> None:
    assert address_of(https, "203.0.113.7") == "203.0.113.7"
    # Nobody but the proxy is believed: what the customer sent stands further left.
    assert address_of(https, "198.51.100.9, 203.0.113.7") == "203.0.113.7"


# https


def test_on_https_cookies_are_bound_to_the_host_and_to_tls(
    https: Running, open_browser: OpenBrowser
) -> None:
    browser, party = open_browser(https), RelyingParty(https)
    begun = browser.authorize(party)
    interaction = begun.headers["set-cookie"]
    assert interaction.startswith("__Host-interaction-")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} < set(interaction.split("; "))
    assert "Domain" not in interaction
    browser.prove(new_phone())
    session = browser.submit("profile", given_name="Анна", terms="accepted").headers["set-cookie"]
    assert session.startswith("__Host-session=")
    assert {"HttpOnly", "Secure", "SameSite=lax", "Path=/"} < set(session.split("; "))
    # RFC 6265bis 4.1.3.2: a __Host- cookie has no Domain.
    assert "Domain" not in session
    tokens = party.redeem(browser.sign_in(party, "")["code"]).json()
    cleared = browser.http.get("/logout", params={"id_token_hint": tokens["id_token"]})
    assert cleared.headers["set-cookie"].startswith('__Host-session="";')
    assert {"Secure", "Path=/", "Max-Age=0"} < set(cleared.headers["set-cookie"].split("; "))


def test_a_cookie_without_its_prefix_is_nobodys(https: Running, open_browser: OpenBrowser) -> None:
    browser, party = open_browser(https), RelyingParty(https)
    browser.sign_in(party, new_phone())
    planted = {"Cookie": f"session={browser.http.cookies['__Host-session']}"}
    with https.client(headers=planted) as client:
        answer = client.get("/authorize", params=party.request(prompt="none"))
    assert parameters_of(answer)["error"] == "login_required"


def test_on_https_browsers_are_told_to_stay_there(https: Running) -> None:
    with https.client() as client:
        for path in ("/jwks", "/nowhere", "/livez"):
            transport = client.get(path).headers["strict-transport-security"]
            assert transport == "max-age=63072000; includeSubDomains"
