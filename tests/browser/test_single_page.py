"""A library that knows nothing of us, in a browser: oidc-client-ts in a single-page application."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Error, expect

from tests.browser import single_page
from tests.browser.conftest import Arrive
from tests.browser.customer import Customer, link
from tests.browser.single_page import CLIENT_ID, Application
from tests.http.provider import RelyingParty, Running
from tests.http.provider import provider as run_provider

IN_AN_IFRAME = "async () => { await users.signinSilent({ forceIframeAuth: true }) }"
BY_REFRESH_TOKEN = "async () => { await users.signinSilent() }"


@pytest.fixture(scope="session")
def application() -> Iterator[Application]:
    with single_page.served() as served:
        yield served


@pytest.fixture(scope="session")
def provider(application: Application) -> Iterator[Running]:
    with run_provider(channels=application.channels()) as running:
        application.use(running.issuer)
        yield running


@pytest.fixture
def customer(arrive: Arrive, provider: Running) -> Customer:
    return arrive(provider)


@pytest.fixture(params=["same_site", "other_site"])
def origin(request: pytest.FixtureRequest, application: Application) -> str:
    address: str = getattr(application, request.param)
    return address


def signs_in(customer: Customer, origin: str) -> dict[str, Any]:
    """Sign in by redirect, as a new customer; what the library then knows."""
    customer.page.goto(f"{origin}/")
    expect(customer.page.locator("output")).to_have_text("nobody")
    customer.page.get_by_role("button", name="Sign in").click()
    customer.signs_in()
    expect(customer.page.locator("output")).to_have_text(customer.phone)
    assert customer.page.url == f"{origin}/"
    return user(customer)


def user(customer: Customer) -> dict[str, Any]:
    """Who is signed in, by the library's knowledge."""
    known: dict[str, Any] = customer.page.evaluate("() => users.getUser()")
    return known


def refusal(customer: Customer) -> str:
    """The error of a silent sign-in in an iframe."""
    error: str = customer.page.evaluate(
        """async () => {
            try { await users.signinSilent({ forceIframeAuth: true }); }
            catch (refused) { return refused.error; }
        }"""
    )
    return error


def test_a_customer_signs_in_by_redirect(customer: Customer, origin: str) -> None:
    known = signs_in(customer, origin)
    assert known["profile"]["sub"]
    assert known["profile"]["given_name"] == "Анна"  # userinfo's
    assert known["scope"] == "openid profile phone"
    assert known["refresh_token"]


def test_a_refresh_token_renews_silently_from_any_site(customer: Customer, origin: str) -> None:
    before = signs_in(customer, origin)
    customer.page.evaluate(BY_REFRESH_TOKEN)
    after = user(customer)
    assert after["profile"]["sub"] == before["profile"]["sub"]
    assert after["access_token"] != before["access_token"]
    assert after["refresh_token"] != before["refresh_token"]
    assert customer.provider.userinfo(after["access_token"]).status_code == 200


def test_the_library_renews_by_itself_before_a_token_expires(
    customer: Customer, application: Application
) -> None:
    before = signs_in(customer, application.same_site)
    # Half a minute is left, as far as the library knows, and it renews when it is a minute.
    renewed = customer.page.evaluate(
        """async old => {
            const user = await users.getUser();
            const renewed = new Promise(resolve => users.events.addUserLoaded(loaded => {
                if (loaded.access_token !== old) resolve(loaded.access_token);
            }));
            user.expires_in = 30;
            await users.storeUser(user);
            await users.getUser(true);
            return await renewed;
        }""",
        before["access_token"],
    )
    assert customer.provider.userinfo(renewed).status_code == 200


def test_an_iframe_of_the_same_site_renews_silently(
    customer: Customer, application: Application
) -> None:
    before = signs_in(customer, application.same_site)
    shown: list[str] = []
    customer.page.on("framenavigated", lambda frame: shown.append(frame.url))
    customer.page.evaluate(IN_AN_IFRAME)
    after = user(customer)
    assert after["profile"]["sub"] == before["profile"]["sub"]
    assert after["access_token"] != before["access_token"]
    assert any(url.startswith(f"{application.same_site}/callback?code=") for url in shown)
    # The answer is a redirect and never a page.
    assert not any(url.startswith(customer.provider.issuer) for url in shown)
    assert customer.page.url == f"{application.same_site}/"


def test_who_signed_in_elsewhere_is_known_to_an_application_of_the_same_site(
    customer: Customer, application: Application
) -> None:
    signs_in(customer, application.other_site)
    customer.page.goto(f"{application.same_site}/")
    expect(customer.page.locator("output")).to_have_text("nobody")
    customer.page.evaluate(IN_AN_IFRAME)
    assert user(customer)["profile"]["phone_number"] == customer.phone


def test_an_iframe_of_another_site_is_told_login_required_and_the_refresh_token_goes_on(
    customer: Customer, application: Application
) -> None:
    before = signs_in(customer, application.other_site)
    assert refusal(customer) == "login_required"
    customer.page.evaluate(BY_REFRESH_TOKEN)
    assert user(customer)["access_token"] != before["access_token"]


def test_a_stranger_in_an_iframe_is_told_login_required(customer: Customer, origin: str) -> None:
    customer.page.goto(f"{origin}/")
    assert refusal(customer) == "login_required"


def test_signing_out_ends_the_session_and_the_tokens(
    customer: Customer, application: Application
) -> None:
    before = signs_in(customer, application.same_site)
    customer.page.get_by_role("button", name="Sign out").click()
    expect(customer.page.locator("output")).to_have_text("nobody")
    assert customer.page.url.startswith(f"{application.same_site}/")
    assert refusal(customer) == "login_required"
    assert customer.provider.userinfo(before["access_token"]).status_code == 401
    asked = {
        "grant_type": "refresh_token",
        "refresh_token": before["refresh_token"],
        "client_id": CLIENT_ID,
    }
    with customer.provider.client() as http:
        assert http.post("/token", data=asked).json()["error"] == "invalid_grant"


def test_no_page_of_ours_opens_in_an_iframe(customer: Customer, application: Application) -> None:
    customer.page.goto(f"{application.same_site}/")
    issuer = customer.provider.issuer
    party = RelyingParty(customer.provider, CLIENT_ID, f"{application.same_site}/callback")
    pages = (link(party), f"{issuer}/authorize", f"{issuer}/logout", f"{issuer}/account/partners")
    for page in pages:
        with customer.page.expect_event("framenavigated") as navigated:
            customer.page.evaluate(
                "address => { const frame = document.createElement('iframe');"
                " frame.src = address; document.body.append(frame) }",
                page,
            )
        assert navigated.value.url.startswith("chrome-error:")
    assert all("frame" in it for it in customer.complaints)
    assert len(customer.complaints) >= len(pages)
    customer.complaints.clear()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/.well-known/openid-configuration", 200),
        ("GET", "/jwks", 200),
        ("GET", "/userinfo", 401),
        ("POST", "/token", 400),
        ("POST", "/revoke", 401),
    ],
)
def test_answers_can_be_read_by_scripts_of_any_origin(
    customer: Customer, origin: str, method: str, path: str, status: int
) -> None:
    customer.page.goto(f"{origin}/")
    # The header makes the browser ask first whether it may.
    assert fetched(customer, path, method=method, headers={"Authorization": "Bearer x"}) == status


def test_answers_for_servers_and_cookies_cannot(customer: Customer, origin: str) -> None:
    customer.page.goto(f"{origin}/")
    for path in ("/introspect", "/otp", "/account/partners"):
        with pytest.raises(Error, match="Failed to fetch"):
            fetched(customer, path)
    customer.complaints.clear()


def fetched(customer: Customer, path: str, **options: Any) -> int:
    """The status of an answer that a script may read."""
    script = "async ([address, options]) => (await fetch(address, options)).status"
    status: int = customer.page.evaluate(script, [customer.provider.issuer + path, options])
    return status
