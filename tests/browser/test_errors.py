import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import App, Arrive
from tests.browser.customer import LOCALES, PHONE, Customer, link
from tests.process.processes import eventually


def has_a_reference_that_the_log_knows(customer: Customer) -> None:
    fine = customer.page.locator(".fine p").first
    expect(fine).to_contain_text(customer.says("error.reference"))
    reference = customer.page.locator(".fine code").inner_text()
    assert re.fullmatch(r"[0-9a-f]{12}", reference)
    # The line is written when the answer is out.
    eventually(lambda: reference in customer.provider.server.output, "the log has it")


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("/authorize?client_id=nobody", "unknown_client"),
        (
            "/authorize?client_id=bakery&redirect_uri=https://evil.example.com/",
            "redirect_uri",
        ),
        ("/authorize?client_id=bakery&client_id=cafe", "invalid_request"),
        ("/authorize/continue?request_id=x", "expired_journey"),
        ("/interaction/unknown/phone", "expired_journey"),
        ("/nowhere", "not_found"),
        ("/logout/confirm", "method_not_allowed"),
        ("/logout?post_logout_redirect_uri=https://evil.example.com/", "redirect_uri"),
    ],
)
def test_an_error_is_a_page_with_a_reference(
    arrive: Arrive, app: App, locale: str, path: str, key: str
) -> None:
    customer = arrive(app.provider, locale, PHONE)
    customer.page.goto(app.provider.issuer + path)
    customer.sees(f"error.{key}.title")
    expect(customer.page.locator(".lead")).to_have_text(customer.says(f"error.{key}.text"))
    expect(customer.page.locator("html")).to_have_attribute("lang", locale)
    assert customer.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    has_a_reference_that_the_log_knows(customer)


def test_developers_find_what_was_wrong(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.page.goto(f"{app.provider.issuer}/authorize?client_id=nobody")
    details = customer.page.locator("details p")
    expect(details).to_be_hidden()
    customer.page.get_by_text(customer.says("error.details")).click()
    expect(details).to_be_visible()
    expect(details).to_have_attribute("lang", "en")


@pytest.mark.parametrize("locale", LOCALES)
def test_a_journey_cannot_be_continued_in_another_browser(
    arrive: Arrive, app: App, locale: str
) -> None:
    customer = arrive(app.provider, locale)
    customer.goes_to(app.party())
    customer.sees("phone.title")
    other = arrive(app.provider, locale)
    other.page.goto(customer.page.url)
    other.sees("error.other_browser.title")
    has_a_reference_that_the_log_knows(other)


def test_a_browser_without_cookies_is_told_so(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party())
    customer.page.context.clear_cookies()
    customer.page.get_by_label(customer.says("phone.label")).fill(customer.phone)
    customer.presses("phone.submit")
    customer.sees("error.other_browser.title")
    expect(customer.page.locator(".lead")).to_contain_text("cookies")


def test_a_fault_of_the_request_goes_back_to_the_app(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.page.goto(link(app.party(), response_type="token"))
    assert customer.answer()["error"] == "unsupported_response_type"
