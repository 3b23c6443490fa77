"""A real provider under test, in development mode, and how a relying party and a browser use it."""

import base64
import contextlib
import hashlib
import itertools
import json
import os
import re
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import tarantool
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from conf.channels_file import DEMO_CHANNELS, GROUP_CHANNELS, ensure_secret_files, load_channels
from conf.settings import load
from idp.channels import apply_with_store
from idp.dev import ensure_key_encryption_key
from tests.process.processes import eventually
from tests.process.server import Server, free_ports, running

DEMO_CALLBACK = "http://localhost:8001/callback"
TEST_CODE = "000000"
SCOPE = "openid profile phone"
PHONE_OTP = "urn:x5id:oauth:grant-type:phone-otp"

_QUEUED = """
    for _, message in box.space.outbox:pairs() do
        local challenge = box.space.challenge:get(message.journey)
        if challenge ~= nil and challenge.phone == ... then return true end
    end
    return false
"""

# A phone of its own for every journey; the range is a real mobile one of nobody's.
_numbers = itertools.count(79160000000 + (os.getpid() % 1000) * 1000)
_test_numbers = itertools.count(79990000100)


def new_phone() -> str:
    """A phone that no test has used."""
    return f"+{next(_numbers)}"


def new_test_number() -> str:
    """A phone that no test has used; its code is TEST_CODE, and nothing limits it."""
    return f"+{next(_test_numbers)}"


@dataclass
class Running:
    """One running provider."""

    server: Server
    issuer: str
    directory: Path
    metrics: str
    tls: ssl.SSLContext

    def secret(self, client_id: str) -> str:
        """The secret of a demo client."""
        return (self.directory / "secrets" / client_id).read_text(encoding="ascii").strip()

    def client(self, **options: Any) -> httpx2.Client:
        """An HTTP client with cookies of its own that follows no redirect."""
        return httpx2.Client(
            base_url=self.issuer, timeout=20, trust_env=False, verify=self.tls, **options
        )

    def async_client(self) -> httpx2.AsyncClient:
        """The same for many requests at once."""
        return httpx2.AsyncClient(
            base_url=self.issuer, timeout=20, trust_env=False, verify=self.tls
        )

    def userinfo(self, access_token: str) -> httpx2.Response:
        """Userinfo's answer to an access token."""
        with self.client() as client:
            return client.get("/userinfo", headers={"Authorization": f"Bearer {access_token}"})

    def code_for(self, phone: str) -> str:
        """The newest one-time code that was sent to a phone."""
        return self.messages_for(phone, 1)[0]["code"]

    def messages_for(self, phone: str, at_least: int = 0) -> list[dict[str, str]]:
        """All messages to a phone, the newest first, once nothing more is on its way to it."""
        messages: list[dict[str, str]] = []

        def all_there() -> bool:
            nonlocal messages
            if self._queued(phone):
                return False
            with self.client() as client:
                messages = client.get("/dev/inbox.json", params={"phone": phone}).json()
            return len(messages) >= at_least

        eventually(all_there, f"{at_least} messages are there for {phone}")
        return messages

    def _queued(self, phone: str) -> bool:
        store = self.directory / "store"
        connection = tarantool.Connection(
            None,
            str(store / "tarantool.sock"),
            user="owner",
            password=(store / "owner.password").read_text(),
            fetch_schema=False,
        )
        try:
            return bool(connection.eval(_QUEUED, [int(phone.removeprefix("+"))]).data[0])
        finally:
            connection.close()


@contextlib.contextmanager
def provider(
    *, workers: int = 1, toml: str = "", channels: str = "", https: bool = False
) -> Iterator[Running]:
    """Run a provider with the demo's and the group's channels, and whatever else is asked for."""
    directory = Path(tempfile.mkdtemp(prefix="idp-"))
    port, metrics_port = free_ports(2)
    issuer = f"{'https' if https else 'http'}://127.0.0.1:{port}"
    tls = ssl.create_default_context()
    certificate = ""
    if https:
        files = create_certificate(directory)
        tls.load_verify_locations(files[0])
        certificate = ', tls_cert = "{}", tls_key = "{}"'.format(*files)
    config = directory / "idp.toml"
    config.write_text(
        f'issuer = "{issuer}"\ndevelopment = true\ndirectory = "{directory}"\n'
        f'workers = {workers}\nlog_format = "json"\n'
        f"listen = {{ port = {port}{certificate} }}\nmetrics = {{ port = {metrics_port} }}\n"
        'test_numbers = [{ first = "+79990000000", last = "+79990009999", code = "000000" }]\n'
        + toml,
        encoding="utf-8",
    )
    try:
        settings = load(config)
        ensure_key_encryption_key(settings)
        channel_files = [GROUP_CHANNELS, DEMO_CHANNELS]
        if channels:
            (directory / "channels.toml").write_text(channels, encoding="utf-8")
            shutil.copytree(DEMO_CHANNELS.parent / "logos", directory / "logos")
            channel_files.append(directory / "channels.toml")
        (directory / "secrets").mkdir(mode=0o700)
        ensure_secret_files(channel_files, directory / "secrets")
        entries = load_channels(channel_files, secrets_directory=directory / "secrets")
        # Playwright keeps an event loop in the thread of the tests, which this would not survive.
        with ThreadPoolExecutor() as thread:
            thread.submit(apply_with_store, settings, entries, by="tests").result()
        with running(
            directory, port, "serve", "--config", str(config), tls=tls if https else None
        ) as server:
            metrics = f"http://127.0.0.1:{metrics_port}/metrics"
            yield Running(server, issuer, directory, metrics, tls)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def create_certificate(directory: Path, *names: str) -> tuple[Path, Path]:
    """Write a self-signed certificate for this machine and for other `names`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp tests")])
    now = datetime.now(UTC)
    hosts = x509.SubjectAlternativeName(
        [x509.IPAddress(ip_address("127.0.0.1")), *map(x509.DNSName, names)]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(hosts, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = directory / "cert.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


@dataclass
class RelyingParty:
    """A client and its own idea of a request; every field can be another one's."""

    provider: Running
    client_id: str = "demo"
    redirect_uri: str = DEMO_CALLBACK
    scope: str = SCOPE
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(40))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(8))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(8))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def request(self, **changes: str | None) -> dict[str, str]:
        """The parameters of an authorization request; None leaves one out."""
        parameters: dict[str, str | None] = {
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "scope": self.scope,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }
        given = parameters | changes
        return {name: value for name, value in given.items() if value is not None}

    def redeem(self, code: str, **changes: str | None) -> httpx2.Response:
        """Redeem a code, authenticated as the client is registered."""
        parameters: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        }
        return self.token(**(parameters | changes))

    def refresh(self, refresh_token: str, **changes: str | None) -> httpx2.Response:
        """Refresh."""
        return self.token(
            **({"grant_type": "refresh_token", "refresh_token": refresh_token} | changes)
        )

    def token(self, **parameters: str | None) -> httpx2.Response:
        """A token request."""
        return self.post("/token", **parameters)

    def post(self, path: str, **parameters: str | None) -> httpx2.Response:
        """A POST to an endpoint that authenticates clients."""
        given = {name: value for name, value in parameters.items() if value is not None}
        with self.provider.client() as client:
            if self.client_id == "demo-native":
                return client.post(path, data={"client_id": self.client_id} | given)
            if self.client_id == "demo-rs256":
                credentials = {
                    "client_id": self.client_id,
                    "client_secret": self.provider.secret("demo-rs256"),
                }
                return client.post(path, data=credentials | given)
            secret = self.provider.secret(self.client_id)
            return client.post(path, data=given, auth=(self.client_id, secret))


class Browser:
    """A browser's part of the journey: cookies, forms, redirects one by one."""

    def __init__(self, running_provider: Running) -> None:
        self.provider = running_provider
        self.http = running_provider.client()
        self.interaction = ""
        self._first_page = "phone"
        self._csrf: dict[str, str] = {}

    def authorize(self, party: RelyingParty, **changes: str | None) -> httpx2.Response:
        """Send an authorization request by GET."""
        return self.arrive(self.http.get("/authorize?" + urlencode(party.request(**changes))))

    def arrive(self, response: httpx2.Response) -> httpx2.Response:
        """Remember the interaction that a redirect leads to, if it leads to one."""
        location = response.headers.get("location", "")
        page = location.startswith("/interaction/")
        self.interaction = location.rsplit("/", 1)[0] if page else ""
        self._first_page = location.rsplit("/", 1)[1] if page else "phone"
        return response

    def get(self, page: str) -> httpx2.Response:
        """A page of the interaction."""
        return self.http.get(f"{self.interaction}/{page}")

    def submit(self, page: str, **fields: str) -> httpx2.Response:
        """Submit a form of the interaction, with the token that its first page carries."""
        if self.interaction not in self._csrf:
            self._csrf[self.interaction] = hidden_fields(self.get(self._first_page).text)["csrf"]
        token = self._csrf[self.interaction]
        return self.http.post(f"{self.interaction}/{page}", data={"csrf": token} | fields)

    def prove(self, phone: str) -> httpx2.Response:
        """Give the phone and the code that was sent to it."""
        self.submit("phone", phone=phone)
        test_number = phone.startswith("+7999000")
        code = TEST_CODE if test_number else self.provider.code_for(phone)
        return self.submit("code", code=code)

    def sign_in(self, party: RelyingParty, phone: str, **changes: str | None) -> dict[str, str]:
        """The whole journey of a customer; the parameters of the authorization response."""
        response = self.authorize(party, **changes)
        if not self.interaction:
            return parameters_of(response)
        response = self.prove(phone)
        if response.headers["location"].endswith("/profile"):
            response = self.submit("profile", given_name="Анна", terms="accepted")
        return parameters_of(response)

    def tokens(self, party: RelyingParty, phone: str, **changes: str | None) -> dict[str, Any]:
        """Sign in and redeem the code."""
        code = self.sign_in(party, phone, **changes)["code"]
        answer: dict[str, Any] = party.redeem(code).json()
        return answer


OpenBrowser = Callable[[Running], Browser]


def parameters_of(response: httpx2.Response) -> dict[str, str]:
    """The parameters that a redirect carries in its query or fragment."""
    parts = urlsplit(response.headers["location"])
    return dict(parse_qsl(parts.query or parts.fragment))


def hidden_fields(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    assert found, page
    return {name: unescape(value) for name, value in found}


def claims_of(token: str) -> dict[str, Any]:
    """A token's claims, unverified."""
    return _segment(token, 1)


def header_of(token: str) -> dict[str, Any]:
    """A token's header, unverified."""
    return _segment(token, 0)


def _segment(token: str, position: int) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(token.split(".")[position] + "==")
    )
    return members
