"""Every endpoint of the table against requests that nobody means well by."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idp.routes import DEVELOPMENT_ENDPOINTS, ENDPOINTS, Endpoint
from tests.http.provider import DEMO_CALLBACK, Running
from tests.http.wire import (
    FORM,
    SECRET,
    Answer,
    Headers,
    address,
    exchange,
    logged,
    post,
    send,
    watched,
)
from tests.process.processes import eventually

# What each endpoint says to a request that has nothing in it. A new endpoint needs its own row.
NOTHING: dict[tuple[str, str], tuple[int, str]] = {
    ("/.well-known/openid-configuration", "GET"): (200, ""),
    ("/.well-known/oauth-authorization-server", "GET"): (200, ""),
    ("/jwks", "GET"): (200, ""),
    ("/authorize", "GET"): (400, ""),
    ("/authorize", "POST"): (400, ""),
    ("/authorize/continue", "GET"): (400, ""),
    ("/token", "POST"): (400, "invalid_request"),
    ("/authorize-challenge", "POST"): (401, "invalid_client"),
    ("/otp", "POST"): (401, "invalid_client"),
    ("/introspect", "POST"): (401, "invalid_client"),
    ("/revoke", "POST"): (401, "invalid_client"),
    ("/userinfo", "GET"): (401, ""),
    ("/userinfo", "POST"): (401, ""),
    ("/register", "POST"): (400, "invalid_client_metadata"),
    ("/register/{client_id}", "GET"): (401, ""),
    ("/register/{client_id}", "PUT"): (401, ""),
    ("/register/{client_id}", "DELETE"): (401, ""),
    ("/logout", "GET"): (200, ""),
    ("/logout", "POST"): (303, ""),  # comes again by GET, with its cookie
    ("/logout/confirm", "POST"): (403, ""),
    ("/interaction/{interaction_id}/phone", "GET"): (400, ""),
    ("/interaction/{interaction_id}/phone", "POST"): (403, ""),
    ("/interaction/{interaction_id}/code", "GET"): (400, ""),
    ("/interaction/{interaction_id}/code", "POST"): (403, ""),
    ("/interaction/{interaction_id}/resend", "POST"): (403, ""),
    ("/interaction/{interaction_id}/delivery", "GET"): (200, ""),
    ("/interaction/{interaction_id}/profile", "GET"): (400, ""),
    ("/interaction/{interaction_id}/profile", "POST"): (403, ""),
    ("/interaction/{interaction_id}/consent", "GET"): (400, ""),
    ("/interaction/{interaction_id}/consent", "POST"): (403, ""),
    ("/interaction/{interaction_id}/blocked", "GET"): (400, ""),
    ("/interaction/{interaction_id}/cancel", "POST"): (403, ""),
    ("/channels/{channel_id}/logo.svg", "GET"): (404, ""),
    ("/channels/{channel_id}/favicon.svg", "GET"): (404, ""),
    ("/clients/{client_id}/logo", "GET"): (404, ""),
    ("/.well-known/assetlinks.json", "GET"): (200, ""),
    ("/.well-known/apple-app-site-association", "GET"): (200, ""),
    ("/account/partners", "GET"): (403, ""),
    ("/account/partners/withdraw", "POST"): (403, ""),
    ("/messages/{provider_id}/receipt", "GET"): (404, "not_found"),
    ("/messages/{provider_id}/receipt", "POST"): (404, "not_found"),
    ("/livez", "GET"): (200, ""),
    ("/readyz", "GET"): (200, ""),
    ("/dev/inbox", "GET"): (200, ""),
    ("/dev/inbox.json", "GET"): (200, ""),
}
TAKES_JSON = {"/register", "/messages/{provider_id}/receipt"}
READS_ITS_QUERY = {"/authorize", "/logout"}
ANY_HOST = {"/livez", "/readyz"}

TABLE = [
    (endpoint, method)
    for endpoint in (*ENDPOINTS, *DEVELOPMENT_ENDPOINTS)
    for method in endpoint.methods
]
PATHS = {endpoint.path: endpoint for endpoint, _ in TABLE}
LARGEST = 16 * 1024

# Bodies and queries that are no parameters, with the status that each deserves.
MALFORMED: dict[str, tuple[bytes, int]] = {
    "not UTF-8": (b"a=%ff", 400),
    "not UTF-8 in a name": (b"%ff=a", 400),
    "an overlong slash": (b"a=%c0%af", 400),
    "a surrogate": (b"a=%ed%a0%80", 400),
    "NUL": (b"a=%00", 400),
    "NUL in a name": (b"%00=a", 400),
    "too many": (b"&".join(b"a%d=1" % number for number in range(101)), 400),
    "too many empty ones": (b"=&" * 101, 400),
    "too large": (b"a=" + b"x" * LARGEST, 413),
}
HOSTILE: dict[str, Headers] = {
    "forwarded": (
        (b"X-Forwarded-For", b"6.6.6.6"),
        (b"X-Forwarded-Host", b"evil.example"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Prefix", b"/evil.example"),
        (b"Forwarded", b"for=6.6.6.6;host=evil.example;proto=https"),
        (b"X-Original-URL", b"/evil.example"),
        (b"X-HTTP-Method-Override", b"DELETE"),
    ),
    "garbage cookies": (
        (b"Cookie", b"session=\xff\xfe; interaction=\xd0\xb9; =; ;;; session"),
        (b"Cookie", b"__Host-session=" + b"A" * 30_000),
    ),
    "forged cookies": ((b"Cookie", b"session=S3CRET; interaction=S3CRET"),),
    "garbage languages": ((b"Accept-Language", b"\xff;q=1.1.1,,,en;q=nan," + b"x-" * 9000),),
    "another type asked for": ((b"Accept", b"text/html;q=1, */*;q=0"),),
    "an upgrade": ((b"Upgrade", b"h2c"), (b"HTTP2-Settings", b"AAMAAABkAAQAAP__")),
}


def _name(value: object) -> str | None:
    return value.path if isinstance(value, Endpoint) else None


every_endpoint = pytest.mark.parametrize(("endpoint", "method"), TABLE, ids=_name)
every_form = pytest.mark.parametrize(
    "endpoint",
    [row for row, method in TABLE if method == "POST" and row.path not in TAKES_JSON],
    ids=_name,
)


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    with watched() as running:
        yield running
        assert "6.6.6.6" not in logged(running)
        assert "evil.example" not in logged(running)


def _target(endpoint: Endpoint, identifier: str = "nobody") -> bytes:
    return re.sub(r"\{.*\}", lambda _: identifier, endpoint.path).encode()


def _ask(
    provider: Running, endpoint: Endpoint, method: str, query: bytes = b"", headers: Headers = ()
) -> Answer:
    target = _target(endpoint) + (b"?" + query if query else b"")
    return exchange(provider, method, target, headers)


def _refused(answer: Answer, endpoint: Endpoint, status: int, error: str) -> None:
    """The answer is that refusal, in the style of the endpoint, and leads nowhere."""
    assert answer.status == status
    assert answer.headers["location"] is None
    assert answer.headers["cache-control"] == "no-store"
    if endpoint.errors == "page":
        assert answer.is_page
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        return
    assert answer.json.get("error", "") == error
    if endpoint.errors == "bearer" and error != "invalid_client_metadata":
        assert answer.headers["www-authenticate"].startswith('Bearer realm="')


def test_every_endpoint_has_its_row() -> None:
    assert set(NOTHING) == {(endpoint.path, method) for endpoint, method in TABLE}


@every_endpoint
def test_a_request_with_nothing_in_it(provider: Running, endpoint: Endpoint, method: str) -> None:
    status, error = NOTHING[endpoint.path, method]
    answer = _ask(provider, endpoint, method)
    assert answer.status == status
    if status >= 400:
        _refused(answer, endpoint, status, error)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"])
@pytest.mark.parametrize("path", PATHS)
def test_another_method_is_refused_by_name(provider: Running, path: str, method: str) -> None:
    endpoint = PATHS[path]
    allowed = {had for row, had in TABLE if row.path == path}
    if endpoint.cors:
        allowed.add("OPTIONS")
    if method in allowed:
        return
    answer = exchange(provider, method, _target(endpoint))
    assert answer.status == 405
    # Whoever takes GET takes HEAD too (RFC 9110 9.1).
    named = {name.strip() for name in answer.headers["allow"].split(",")}
    assert named == allowed | ({"HEAD"} if "GET" in allowed else set())
    if endpoint.errors == "page":
        assert answer.is_page
    else:
        assert answer.json == {"error": "invalid_request"}


@every_form
@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_body_is_refused(provider: Running, endpoint: Endpoint, what: str) -> None:
    body, status = MALFORMED[what]
    answer = post(provider, _target(endpoint), body)
    _refused(answer, endpoint, status, "invalid_request")


@every_form
@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"multipart/form-data; boundary=x", b"text/plain", b"\xff", None],
)
def test_a_body_that_is_no_form_is_refused(
    provider: Running, endpoint: Endpoint, content_type: bytes | None
) -> None:
    answer = post(provider, _target(endpoint), b"grant_type=refresh_token", content_type)
    _refused(answer, endpoint, 400, "invalid_request")


@every_form
def test_a_repeated_parameter_is_refused(provider: Running, endpoint: Endpoint) -> None:
    answer = post(provider, _target(endpoint), b"unknown=1&unknown=1")
    _refused(answer, endpoint, 400, "invalid_request")


@every_form
def test_what_only_looks_like_an_escape_is_a_value(provider: Running, endpoint: Endpoint) -> None:
    status, error = NOTHING[endpoint.path, "POST"]
    answer = post(provider, _target(endpoint), b"%=%&%zz=%u0000&%%%=1&==&a;b=c&+=+")
    assert answer.status == status
    if status >= 400:
        _refused(answer, endpoint, status, error)


@pytest.mark.parametrize("what", MALFORMED)
@every_endpoint
def test_a_malformed_query_is_refused_or_not_read(
    provider: Running, endpoint: Endpoint, method: str, what: str
) -> None:
    query, status = MALFORMED[what]
    answer = _ask(provider, endpoint, method, query)
    if method == "GET" and endpoint.path in READS_ITS_QUERY:
        _refused(answer, endpoint, status, "invalid_request")
    else:
        assert answer.status == NOTHING[endpoint.path, method][0]


@pytest.mark.parametrize("what", HOSTILE)
@every_endpoint
def test_hostile_headers_change_nothing(
    provider: Running, endpoint: Endpoint, method: str, what: str
) -> None:
    status, error = NOTHING[endpoint.path, method]
    if endpoint.path == "/logout" and "cookies" in what:
        status = 200  # a session is named, so nobody needs to come again
    answer = _ask(provider, endpoint, method, headers=HOSTILE[what])
    assert answer.status == status
    assert b"evil.example" not in answer.body
    assert "evil.example" not in str(answer.headers)
    if status >= 400:
        _refused(answer, endpoint, status, error)


@pytest.mark.parametrize("host", [b"evil.example", b"", b"[", b"127.0.0.1:1", b"127.0.0.1@evil"])
@every_endpoint
def test_a_foreign_host_is_refused(
    provider: Running, endpoint: Endpoint, method: str, host: bytes
) -> None:
    answer = exchange(provider, method, _target(endpoint), host=host)
    expected = NOTHING[endpoint.path, method][0] if endpoint.path in ANY_HOST else 400
    assert answer.status == expected
    assert answer.headers["location"] is None


@pytest.mark.parametrize(
    "identifier",
    ["%00", "%ff", "%0d%0aSet-Cookie:%20a=b", "..", "%2e%2e", "%F0%9F%92%A9", "{x}", "x" * 50_000],
)
@pytest.mark.parametrize("path", [path for path in PATHS if "{" in path])
def test_an_identifier_that_is_none_is_unknown(
    provider: Running, path: str, identifier: str
) -> None:
    for method in sorted(method for row, method in TABLE if row.path == path):
        answer = exchange(provider, method, _target(PATHS[path], identifier))
        _refused(answer, PATHS[path], *NOTHING[path, method])
        assert answer.headers["set-cookie"] is None


@pytest.mark.parametrize("path", [path for path in PATHS if "{" in path])
def test_the_name_of_an_identifier_is_none(provider: Running, path: str) -> None:
    for method in sorted(method for row, method in TABLE if row.path == path):
        for target in (path, quote(path)):
            answer = exchange(provider, method, target.encode())
            _refused(answer, PATHS[path], *NOTHING[path, method])


# Neither a slash nor a line feed more makes another path the same: a proxy in front may limit some.
@pytest.mark.parametrize(
    "form", ["{}/", "/{}", "{}%0a", "/.{}", "/x/..{}", "{}%2f", "{}%00", "{};x", "/static/..{}"]
)
@pytest.mark.parametrize("path", PATHS)
def test_another_path_is_another_path(provider: Running, path: str, form: str) -> None:
    target = form.format(_target(PATHS[path]).decode()).encode()
    expected = {404, 405} if form.startswith("/static") else {404}
    if path.endswith("}") and form in {"{}%0a", "{}%00", "{};x"}:
        expected = {401, 405}  # another identifier, which is nobody's
    for method in ("GET", "POST"):
        answer = exchange(provider, method, target)
        assert answer.status in expected
        assert answer.headers["location"] is None


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET http://evil.example/livez HTTP/1.1", 200),  # absolute-form: a proxy's business
        (b"GET * HTTP/1.1", 404),
        (b"GET evil.example:443 HTTP/1.1", 400),
        (b"CONNECT evil.example:443 HTTP/1.1", 400),
        (b"GET //evil.example/livez HTTP/1.1", 404),
        (b"GET /\xff HTTP/1.1", 400),
        (b"GET /livez#fragment HTTP/1.1", 200),
        (b"GET /livez?%zz&&=%ff HTTP/1.1", 200),
        (b"BREW /livez HTTP/1.1", 400),
        (b"GET /livez HTTP/9.9", 400),
        (b"\x16\x03\x01", 400),
        (b"GET /static/../pages.py HTTP/1.1", 404),
        (b"GET /static/..%2fpages.py HTTP/1.1", 404),
        (b"GET /static/%00 HTTP/1.1", 404),
        (b"GET /static/" + b"x" * 5000 + b" HTTP/1.1", 404),
        (b"GET /livez?" + b"x" * 70_000 + b" HTTP/1.1", 400),
    ],
)
def test_odd_request_lines(provider: Running, line: bytes, status: int) -> None:
    host, port = address(provider)
    answer = send(provider, line + f"\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
    assert answer.status == status
    assert answer.headers["location"] is None


def test_a_path_in_the_middle_of_the_static_files_stays_there(provider: Running) -> None:
    files = sorted(Path("idp").rglob("*.py")) + sorted(provider.directory.iterdir())
    for file in files[:20]:
        for steps in ("../", "..%2f", "%2e%2e/", "..\\", "/"):
            answer = exchange(provider, "GET", f"/static/{steps * 8}{quote(str(file))}".encode())
            assert answer.status == 404


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: x, chunked, y\r\n\r\n0\r\n\r\n",
        b"X: a\nY: b\r\n: empty\r\n\r\n",
    ],
)
def test_ambiguous_framing_is_refused(provider: Running, framing: bytes) -> None:
    host, port = address(provider)
    head = f"POST /token HTTP/1.1\r\nHost: {host}:{port}\r\n".encode()
    assert send(provider, head + framing).status in (0, 400)


def test_a_client_that_goes_away_is_no_fault_of_ours(provider: Running) -> None:
    # Nobody else leaves these in the middle: lines of the tests before may still be on their way.
    paths = ["/otp", "/authorize", "/userinfo"]

    def told() -> list[str]:
        lines = [json.loads(it) for it in logged(provider).splitlines() if "client_disc" in it]
        return [it["route"] for it in lines if it["route"] in paths]

    host, port = address(provider)
    assert told() == []
    for path in paths:
        with socket.create_connection((host, port)) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9\r\n\r\nhalf"
            connection.sendall(head.encode())
    eventually(lambda: sorted(told()) == sorted(paths), "three lines tell of it")


def test_a_reference_is_found_in_the_log(provider: Running) -> None:
    pages = [exchange(provider, "GET", b"/nowhere").body for _ in range(200)]
    references = [re.findall(rb"<code>(\w+)</code>", page)[0].decode() for page in pages]
    eventually(lambda: all(it in logged(provider) for it in references), "all are in the log")


@pytest.mark.parametrize("flood", [b"X-Long: " + b"x" * 2**22, b"X-Many: x\r\n" * 2**18])
def test_an_endless_request_ends(provider: Running, flood: bytes) -> None:
    host, port = address(provider)
    head = f"GET /livez HTTP/1.1\r\nHost: {host}:{port}\r\n".encode()
    assert send(provider, head + flood).status == 0
    assert exchange(provider, "GET", b"/livez").status == 200


NAMES = st.sampled_from(
    [
        *("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "prompt"),
        *("max_age", "claims", "request", "request_uri", "id_token_hint", "display", "code"),
        *("ui_locales", "login_hint", "response_mode", "code_challenge", "code_challenge_method"),
        *("grant_type", "client_secret", "refresh_token", "code_verifier", "token", "phone"),
        *(
            "otp",
            "otp_session",
            "auth_session",
            "given_name",
            "terms_accepted",
            "csrf",
            "access_token",
            "post_logout_redirect_uri",
            "request_id",
        ),
    ]
)
VALUES = st.one_of(
    st.sampled_from(["demo", "demo-native", "openid", "code", "none", "S256", "fragment"]),
    st.sampled_from([DEMO_CALLBACK, "authorization_code", "refresh_token", "form_post", "0"]),
    st.sampled_from(["eyJhbGciOiJub25lIn0.e30.", "[" * 2000, '{"id_token":{"sub":null}}', SECRET]),
    st.text(max_size=40),
    st.integers().map(str),
)
PARAMETERS = st.lists(st.tuples(NAMES, VALUES), max_size=12, unique_by=lambda pair: pair[0])
HEADER_NAMES = [b"Authorization", b"Cookie", b"Accept", b"Accept-Language", b"Range", b"Origin"]
HEADER_VALUES = st.one_of(
    st.sampled_from([b"Basic ", b"Basic Og==", b"Bearer a.b.c", b"session=\xff", b"bytes=0-,-"]),
    st.binary(max_size=60).map(lambda value: re.sub(rb"[\0\r\n]", b"", value)),
)
HEADERS = st.lists(st.tuples(st.sampled_from(HEADER_NAMES), HEADER_VALUES), max_size=4)


@settings(
    max_examples=600,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(row=st.sampled_from(TABLE), parameters=PARAMETERS, headers=HEADERS)
def test_nothing_is_a_fault_of_ours(
    provider: Running,
    row: tuple[Endpoint, str],
    parameters: list[tuple[str, str]],
    headers: list[tuple[bytes, bytes]],
) -> None:
    endpoint, method = row
    encoded = "&".join(f"{name}={quote(value)}" for name, value in parameters).encode()
    if method == "GET":
        answer = _ask(provider, endpoint, method, encoded, tuple(headers))
    else:
        form = (*headers, (b"Content-Type", FORM))
        answer = exchange(provider, method, _target(endpoint), form, encoded)
    assert 200 <= answer.status < 500
    location = answer.headers["location"]
    ours = ("/interaction/", "/authorize/continue?", "/logout?")
    assert location is None or location.startswith((DEMO_CALLBACK, *ours))
