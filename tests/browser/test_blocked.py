import subprocess
import sys

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.conftest import App, Arrive
from tests.browser.customer import DESKTOP, LOCALES, PHONE, SMALL_PHONE, Customer, said
from tests.browser.test_accessibility import is_readable
from tests.browser.test_journey import looks_right
from tests.http.provider import new_phone

NAMES = {"ru": "Булочная", "en": "Bakery"}
SIZES = [
    pytest.param(SMALL_PHONE, id="small-phone"),
    pytest.param(PHONE, id="phone"),
    pytest.param(DESKTOP, id="desktop"),
]


def is_blocked(customer: Customer) -> None:
    """Sign in for the first time, and be blocked by an operator."""
    command = [sys.executable, "-m", "idp", "customers", "block", customer.phone]
    config = str(customer.provider.directory / "idp.toml")
    subprocess.run([*command, "--reason", "a stolen phone", "--config", config], check=True)


def proves_the_phone(customer: Customer) -> None:
    customer.gives_phone()
    customer.types_code(customer.code())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_blocked_customer_reads_so_and_goes_back_to_the_app(
    arrive: Arrive, app: App, locale: str, size: ViewportSize
) -> None:
    customer, party = arrive(app.provider, locale, size), app.party()
    customer.goes_to(party)
    customer.signs_in()
    customer.answer()
    is_blocked(customer)

    customer.goes_to(party)
    proves_the_phone(customer)

    customer.sees("blocked.title")
    expect(customer.page).to_have_title(f"{customer.says('blocked.title')} · {NAMES[locale]}")
    looks_right(customer)
    is_readable(customer.page)
    customer.page.reload()
    customer.sees("blocked.title")
    customer.page.get_by_role(
        "button", name=said(locale, "blocked.submit", name=NAMES[locale])
    ).click()
    answer = customer.answer()
    assert (answer["error"], answer["state"]) == ("access_denied", party.state)


def test_another_number_may_sign_in(arrive: Arrive, app: App) -> None:
    customer, party = arrive(app.provider), app.party()
    customer.goes_to(party)
    customer.signs_in()
    customer.answer()
    is_blocked(customer)
    customer.goes_to(party)
    proves_the_phone(customer)
    customer.sees("blocked.title")

    customer.page.get_by_role("link", name=customer.says("blocked.change")).click()
    customer.phone = new_phone()
    customer.signs_in()

    assert "code" in customer.answer()


def test_the_page_of_the_blocked_works_without_javascript(arrive: Arrive, app: App) -> None:
    customer, party = arrive(app.provider), app.party()
    customer.goes_to(party)
    customer.signs_in()
    customer.answer()
    is_blocked(customer)
    plain = arrive(app.provider, javascript=False)
    plain.phone = customer.phone
    plain.goes_to(party)
    plain.gives_phone()
    plain.page.get_by_label(plain.says("code.label")).fill(plain.code())
    plain.presses("code.submit")
    plain.sees("blocked.title")
    plain.page.get_by_role("button").click()
    assert plain.answer()["error"] == "access_denied"
