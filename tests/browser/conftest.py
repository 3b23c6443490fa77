import contextlib
import html
import http.server
import json
import shutil
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    ViewportSize,
    WebError,
    expect,
    sync_playwright,
)

from tests.browser.customer import DESKTOP, Customer
from tests.http.provider import RelyingParty, Running
from tests.http.provider import provider as run_provider
from tests.process.processes import eventually
from tests.process.server import free_ports, running

RESEND_AFTER = 2
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
]
_CHANNELS = """\
[[channels]]
id = "{id}"
name = "{id}"
locale = "en"

[channels.brand]
name = {{ ru = "{ru}", en = "{en}" }}
color = "{color}"
logo = "logos/{logo}.svg"
terms_uri = "https://{id}.example.com/terms"
privacy_uri = "https://{id}.example.com/privacy"

[[channels.clients]]
client_id = "{id}"
client_name = "{en}"
application_type = "web"
token_endpoint_auth_method = "client_secret_basic"
secret = {{ file = "{id}" }}
redirect_uris = ["{origin}/callback"]
post_logout_redirect_uris = ["{origin}/signed-out"]
grant_types = ["authorization_code"]
response_types = ["code"]
scope = "openid profile phone"
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """A provider and the demo shop, as `idp dev` starts them."""

    provider: Running
    origin: str


@dataclass(frozen=True, slots=True)
class App:
    """A relying party of another origin: it shows what it is told, and nothing more."""

    provider: Running
    origin: str

    def party(self, client_id: str = "bakery") -> RelyingParty:
        """A request of one of its two clients, each of a channel of its own."""
        return RelyingParty(self.provider, client_id, f"{self.origin}/callback")


class Arrive(Protocol):
    """Makes customers, each with a browser without cookies."""

    def __call__(
        self,
        provider: Running,
        locale: str = "en",
        size: ViewportSize = DESKTOP,
        *,
        dark: bool = False,
        javascript: bool = True,
    ) -> Customer: ...


@pytest.fixture(scope="session")
def shop() -> Iterator[Shop]:
    """`idp dev`, on ports and in a directory of its own."""
    directory = Path(tempfile.mkdtemp(prefix="idp-"))
    port, demo_port, metrics_port = free_ports(3)
    arguments = [
        *("dev", "--directory", str(directory / "var"), "--port", str(port)),
        *("--demo-port", str(demo_port), "--metrics-port", str(metrics_port)),
    ]
    try:
        with running(directory, port, *arguments) as server:
            eventually(lambda: "Ctrl-C stops" in server.output, "the demo is introduced", 10)
            server.family()
            assert "could not start" not in server.output
            issuer, metrics = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics"
            tls = ssl.create_default_context()
            provider = Running(server, issuer, directory / "var", metrics, tls)
            yield Shop(provider, f"http://localhost:{demo_port}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def app() -> Iterator[App]:
    """A provider with two more channels, whose apps are at one more origin."""
    with _echo() as origin:
        bakery = _CHANNELS.format(
            id="bakery", ru="Булочная", en="Bakery", color="#b45309", logo="gorst", origin=origin
        )
        cafe = _CHANNELS.format(
            id="cafe", ru="Кофейня", en="Cafe", color="#7c3aed", logo="travozar", origin=origin
        )
        with run_provider(
            toml=f"[otp]\nresend_after_seconds = {RESEND_AFTER}\n", channels=bakery + cafe
        ) as provider:
            yield App(provider, origin)


# A sync Playwright keeps an event loop in the thread, which no async test of another file survives.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=10_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell"), args=_ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture
def arrive(chromium: Browser) -> Iterator[Arrive]:
    """Makes customers; in the end, no browser may have complained (CSP, scripts, missing files)."""
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        expected = message.text.startswith("Failed to load resource") and _is_page(
            message.location["url"]
        )
        if message.type in {"error", "warning"} and not expected:
            complaints.append(message.text)

    def failed(error: WebError) -> None:
        complaints.append(str(error.error))

    with contextlib.ExitStack() as stack:

        def arrived(
            provider: Running,
            locale: str = "en",
            size: ViewportSize = DESKTOP,
            *,
            dark: bool = False,
            javascript: bool = True,
        ) -> Customer:
            context = chromium.new_context(
                locale={"ru": "ru-RU", "en": "en-GB"}[locale],
                viewport=size,
                is_mobile=size is not DESKTOP,
                has_touch=size is not DESKTOP,
                color_scheme="dark" if dark else "light",
                java_script_enabled=javascript,
                reduced_motion="reduce",
            )
            stack.callback(context.close)
            context.set_default_timeout(10_000)
            context.on("console", heard)
            context.on("weberror", failed)
            return Customer(context.new_page(), provider, locale, complaints)

        yield arrived
    assert complaints == []


def _is_page(url: str) -> bool:
    """Whether an address is a page's: one that may answer with an error on purpose."""
    return Path(urlsplit(url).path).suffix not in {".css", ".js", ".svg"}


class _Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._show(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._show(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _show(self, parameters: str) -> None:
        told = html.escape(json.dumps(dict(parse_qsl(parameters)) | {"method": self.command}))
        body = f'<!doctype html><title>App</title><link rel="icon" href="data:,"><pre>{told}</pre>'
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


@contextlib.contextmanager
def _echo() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
