"""A verified partner's logo stands where its name does, and the monogram where there is none."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, ViewportSize, expect

from tests.browser.conftest import App, Arrive
from tests.browser.customer import DESKTOP, PHONE, Customer
from tests.browser.test_accessibility import is_readable
from tests.browser.test_journey import looks_right
from tests.http.partner import NAME, partner
from tests.http.provider import RelyingParty
from tests.idp.pictures import png

SIZES = [pytest.param(PHONE, id="phone"), pytest.param(DESKTOP, id="desktop")]


class _Logo(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.end_headers()
        self.wfile.write(png(96, 96))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        pass


@pytest.fixture(scope="module")
def logo_uri() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Logo) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/logo.png"
        server.shutdown()
        thread.join()


@pytest.fixture
def corner(app: App, logo_uri: str) -> RelyingParty:
    """A verified partner, whose logo has been seen before."""
    party = partner(app.provider, f"{app.origin}/callback", verified=True, logo_uri=logo_uri)
    with app.provider.client() as client:
        assert client.get(f"/clients/{party.client_id}/logo").status_code == 200
    return party


def is_drawn(image: Locator) -> None:
    expect(image).to_be_visible()
    assert image.evaluate("async it => { await it.decode(); return it.naturalWidth }") == 96


def consents(customer: Customer, party: RelyingParty) -> None:
    customer.goes_to(party)
    customer.signs_in()
    customer.sees("consent.title")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_a_customer_sees_the_logo_from_the_first_page_to_the_list_of_partners(
    arrive: Arrive, app: App, corner: RelyingParty, size: ViewportSize, *, dark: bool
) -> None:
    customer = arrive(app.provider, "ru", size, dark=dark)
    logo = customer.page.locator(".brand-logo")
    customer.goes_to(corner)
    is_drawn(logo)
    customer.signs_in()
    customer.sees("consent.title")
    is_drawn(logo)
    expect(customer.page.locator(".brand-mark")).to_have_count(0)
    looks_right(customer)
    is_readable(customer.page)
    customer.presses("consent.submit")
    customer.answer()
    customer.page.goto(f"{app.provider.issuer}/account/partners")
    is_drawn(customer.page.locator(".partner .brand-logo"))
    expect(customer.page.get_by_role("heading", level=2)).to_have_text(NAME["ru"])
    looks_right(customer)
    is_readable(customer.page)


def test_without_javascript_it_is_seen_too(arrive: Arrive, app: App, corner: RelyingParty) -> None:
    customer = arrive(app.provider, javascript=False)
    customer.goes_to(corner)
    is_drawn(customer.page.locator(".brand-logo"))


def test_nobody_has_vouched_for_a_partner_that_has_a_monogram(
    arrive: Arrive, app: App, logo_uri: str
) -> None:
    customer = arrive(app.provider)
    consents(customer, partner(app.provider, f"{app.origin}/callback", logo_uri=logo_uri))
    expect(customer.page.locator("img")).to_have_count(0)
    expect(customer.page.locator(".brand-mark")).to_have_text(NAME["en"][0])
    customer.presses("consent.submit")
    customer.answer()
    customer.page.goto(f"{app.provider.issuer}/account/partners")
    expect(customer.page.locator("img")).to_have_count(0)
    expect(customer.page.locator(".partner .brand-mark")).to_have_text(NAME["en"][0])
    is_readable(customer.page)
