"""A browser that asks from a doubtful network solves a puzzle first, beside the page."""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Request, ViewportSize, expect

from tests.browser.conftest import Arrive
from tests.browser.customer import DESKTOP, LOCALES, PHONE, Customer
from tests.http.provider import Browser, RelyingParty, Running, new_phone
from tests.http.provider import provider as run_provider

BITS = 14


@pytest.fixture(scope="session")
def doubtful() -> Iterator[Running]:
    """A provider of whom somebody at this address has had codes, and not answered."""
    toml = f"[sending]\nlowest_conversion = 0.4\nproof_of_work_bits = {BITS}\n"
    with run_provider(toml=toml) as running:
        nobody = Browser(running)
        for _ in range(2):
            nobody.authorize(RelyingParty(running))
            nobody.submit("phone", phone=new_phone())
            time.sleep(1.1)  # or the second one would have to work already
        nobody.http.close()
        yield running


def asks(customer: Customer) -> None:
    customer.goes_to(RelyingParty(customer.provider))
    customer.sees("phone.title")
    customer.page.get_by_label(customer.says("phone.label")).fill(customer.phone)
    customer.presses("phone.submit")


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_code_follows_by_itself(
    arrive: Arrive, doubtful: Running, locale: str, size: ViewportSize
) -> None:
    customer = arrive(doubtful, locale, size)
    asked: list[Request] = []
    customer.page.on("request", lambda it: asked.append(it) if it.method == "POST" else None)
    asks(customer)
    customer.sees("code.title")
    _, proven = asked
    assert "proof_of_work=" in (proven.post_data or "")


@pytest.mark.parametrize("locale", LOCALES)
def test_without_scripts_the_page_says_what_to_do(
    arrive: Arrive, doubtful: Running, locale: str
) -> None:
    customer = arrive(doubtful, locale, javascript=False)
    asks(customer)
    customer.sees("proof.title")
    note = customer.page.locator("noscript p")
    expect(note).to_be_visible()
    expect(note).to_have_text(customer.says("proof.noscript"))
    # Nothing is being solved.
    expect(customer.page.get_by_text(customer.says("proof.lead"))).to_be_hidden()
    customer.presses("common.cancel")
