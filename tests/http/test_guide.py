"""What docs/integrate.md tells servers, services, resource servers and partners to write works."""

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from authlib.integrations.httpx_client import OAuth2Client
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from flows.clients import RegistrationPolicy
from keys.signing import SigningKey
from tests import guide
from tests.http.provider import (
    PHONE_OTP,
    TEST_CODE,
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    new_phone,
    new_test_number,
    parameters_of,
)
from tests.http.provider import provider as run_provider
from tests.http.registering import bearer, initial_access_token, post

CALLBACK = "https://shop.example.com/callback"
ORDERS = "https://api.shop.example.com/orders"
JWKS_URI = 'jwks_uri = "https://stock.shop.example.com/jwks"'
KEY = ECKey.generate_key("P-256", auto_kid=True)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    members = ", ".join(f'{name} = "{value}"' for name, value in KEY.as_dict(private=False).items())
    channels = guide.channels_file().replace("logos/shop.svg", "logos/demo.svg")
    assert JWKS_URI in channels
    channels = channels.replace(JWKS_URI, f"jwks = {{ keys = [{{ {members} }}] }}")
    with run_provider(channels=channels) as started:
        yield started


def program(running: Running, has: str, **names: Any) -> SimpleNamespace:
    """What the guide's Python defines, told of another provider than the guide's."""
    source = guide.block("python", has).replace(guide.ISSUER, running.issuer)
    exec(compile(source, "docs/integrate.md", "exec"), names)  # noqa: S102 - it is what is tested
    return SimpleNamespace(**names)


# Web server


@pytest.fixture
def site(running: Running) -> httpx2.AsyncClient:
    """A browser at the guide's web server, without cookies."""
    shop = program(running, "oauth.register", SECRET=running.secret("shop-site"))

    async def home(request: Request) -> JSONResponse:
        return JSONResponse(request.session)

    pages = {"/": home, "/in": shop.sign_in, "/callback": shop.callback, "/out": shop.sign_out}
    app = Starlette(
        routes=[Route(path, page) for path, page in pages.items()],
        middleware=[Middleware(SessionMiddleware, secret_key="s", https_only=True)],
    )
    transport = httpx2.ASGITransport(app)
    return httpx2.AsyncClient(transport=transport, base_url="https://shop.example.com")


async def test_customers_of_the_web_server_sign_in_and_out(
    running: Running, site: httpx2.AsyncClient, open_browser: OpenBrowser
) -> None:
    browser = open_browser(running)
    browser.arrive(browser.http.get((await site.get("/in")).headers["location"]))
    answer = browser.prove(new_phone())
    answer = browser.submit("profile", given_name="Анна", terms="accepted")
    returned = urlsplit(answer.headers["location"])
    assert f"https://{returned.netloc}{returned.path}" == CALLBACK
    assert (await site.get(f"{returned.path}?{returned.query}")).headers["location"] == "/"
    assert (await site.get("/")).json().keys() == {"sub", "id_token"}

    left = browser.http.get((await site.get("/out")).headers["location"])

    assert left.headers["location"].startswith("https://shop.example.com/?state=")
    assert (await site.get("/")).json() == {}
    party = RelyingParty(running, "shop-site", CALLBACK)
    again = parameters_of(browser.authorize(party, prompt="none"))
    assert again["error"] == "login_required"
    await site.aclose()


# Native login


def test_an_app_signs_its_customer_in_without_a_browser(running: Running) -> None:
    phone, party = new_test_number(), RelyingParty(running, "shop-android")
    screens = {
        "phone_required": {"phone": phone},
        "otp_required": {"otp": TEST_CODE},
        "profile_required": {"given_name": "Анна", "terms_accepted": "true"},
    }
    shown = []

    def ask(required: dict[str, Any]) -> dict[str, str]:
        (screen,) = (name for name in screens if name in required)
        shown.append(screen)
        return screens[screen]

    app = program(running, "def sign_in(ask")
    tokens = app.sign_in(ask, party.verifier, party.challenge)
    assert shown == list(screens)
    assert tokens.keys() >= {"access_token", "refresh_token", "id_token"}


# Chat bot


def test_a_chat_bot_signs_its_customer_in(running: Running) -> None:
    bot = RelyingParty(running, "shop-bot")
    begun = bot.post("/otp", phone=new_test_number()).json()
    tokens = bot.token(grant_type=PHONE_OTP, otp_session=begun["otp_session"], otp=TEST_CODE).json()
    assert tokens.keys() >= {"access_token", "refresh_token", "id_token"}
    assert bot.refresh(tokens["refresh_token"]).status_code == 200


# Service, resource server


@pytest.fixture(scope="module")
def token(running: Running) -> str:
    """An access token for the orders, which the guide's service asked for with its key."""
    service = program(running, "PrivateKeyJWT", PRIVATE_KEY=KEY).service
    service.close()
    issued: str = service.token["access_token"]
    return issued


@pytest.fixture
def api(running: Running) -> SimpleNamespace:
    """The guide's resource server."""
    return program(running, "def claims_of")


def test_a_resource_server_asks_about_a_token(running: Running, token: str) -> None:
    with OAuth2Client("shop-orders", running.secret("shop-orders"), trust_env=False) as orders:
        described = orders.introspect_token(f"{running.issuer}/introspect", token=token).json()
    assert described["active"]
    assert (described["sub"], described["aud"]) == ("shop-stock", ORDERS)
    assert described["scope"] == "orders:read"


def test_a_resource_server_verifies_a_token_itself(api: SimpleNamespace, token: str) -> None:
    assert api.claims_of(token)["client_id"] == "shop-stock"


def test_a_resource_server_takes_no_id_token_and_no_token_for_others(
    running: Running, api: SimpleNamespace, browser_at_site: Browser
) -> None:
    party = RelyingParty(running, "shop-site", CALLBACK)
    tokens = browser_at_site.tokens(party, new_phone())
    for other in (tokens["id_token"], tokens["access_token"]):
        with pytest.raises(JoseError):
            api.claims_of(other)


@pytest.fixture
def browser_at_site(running: Running, open_browser: OpenBrowser) -> Browser:
    return open_browser(running)


def test_a_resource_server_learns_of_a_new_key_by_its_kid(running: Running, token: str) -> None:
    api = program(running, "def claims_of")
    api.claims_of.__globals__.update(
        kept=KeySet([KEY]), fetched_at=time.monotonic() - 60, good_until=time.monotonic() + 60
    )
    assert api.claims_of(token)["client_id"] == "shop-stock"


async def test_tokens_with_a_kid_of_their_own_make_a_resource_server_fetch_nothing(
    running: Running, token: str
) -> None:
    api = program(running, "def claims_of")
    api.claims_of(token)
    fetched_at = api.claims_of.__globals__["fetched_at"]
    forged = await SigningKey.generate("ES256").sign(b"{}", typ="at+jwt")
    with pytest.raises(JoseError):
        api.claims_of(forged)
    assert api.claims_of.__globals__["fetched_at"] == fetched_at


# Partners


def test_a_partner_registers_changes_and_removes_a_client(running: Running) -> None:
    policy = RegistrationPolicy(
        scopes=("openid", "profile", "phone", "offline_access"),
        grant_types=("authorization_code", "refresh_token"),
        redirect_hosts=("partner.example",),
    )
    members = json.loads(guide.block("json", "redirect_uris"))
    # Nobody answers at a host of the guide's.
    del members["jwks_uri"]
    members["jwks"] = {"keys": [KEY.as_dict(private=False)]}

    registered = post(running, members, initial_access_token(running, policy))

    assert registered.status_code == 201
    known = registered.json()
    assert known.items() >= members.items()
    uri, as_owner = known["registration_client_uri"], bearer(known["registration_access_token"])
    with running.client() as http:
        changed = http.get(uri, headers=as_owner).json() | {"client_name": "Corner Shop II"}
        for name in ("registration_access_token", "registration_client_uri", "client_id_issued_at"):
            del changed[name]
        answer = http.put(uri, json=changed, headers=as_owner)
        assert answer.status_code == 200
        assert answer.json()["client_name"] == "Corner Shop II"
        as_owner = bearer(answer.json()["registration_access_token"])
        assert http.delete(uri, headers=as_owner).status_code == 204
        assert http.get(uri, headers=as_owner).status_code == 401
