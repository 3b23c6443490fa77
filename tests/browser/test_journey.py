import re

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import App, Arrive, Shop
from tests.browser.customer import DESKTOP, LOCALES, PHONE, SMALL_PHONE, Customer, said

SIZES = [
    pytest.param(PHONE, id="phone"),
    pytest.param(SMALL_PHONE, id="small-phone"),
    pytest.param(DESKTOP, id="desktop"),
]
HELLO = {"ru": "Здравствуйте, Анна!", "en": "Hello, Анна!"}
ENTER = {"ru": "Войти", "en": "Sign in"}


def opens_shop(customer: Customer, shop: Shop) -> None:
    customer.page.goto(shop.origin)
    looks_right(customer)
    customer.page.get_by_role("main").get_by_role("link", name=ENTER[customer.locale]).click()


def is_welcome(customer: Customer, shop: Shop) -> None:
    customer.page.wait_for_url(f"{shop.origin}/")
    expect(customer.page.get_by_role("heading", level=1)).to_have_text(HELLO[customer.locale])


def looks_right(customer: Customer) -> None:
    """In the customer's language, not wider than the screen, and drawn without a fault."""
    page = customer.page
    expect(page.locator("html")).to_have_attribute("lang", customer.locale)
    size = page.viewport_size
    assert size is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    assert page.screenshot(full_page=True)
    broken = "[...document.images].filter((image) => !image.naturalWidth).map((image) => image.src)"
    assert page.evaluate(broken) == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_new_customer_registers_and_the_shop_knows_them(
    arrive: Arrive, shop: Shop, locale: str, size: ViewportSize
) -> None:
    customer = arrive(shop.provider, locale, size)
    opens_shop(customer, shop)
    customer.sees("phone.title")
    looks_right(customer)
    customer.gives_phone()
    looks_right(customer)
    customer.types_code(customer.wrong_code())
    customer.sees_problem("field_error.code_wrong", tries_left=4)
    looks_right(customer)
    customer.types_code(customer.code())
    customer.sees("profile.title")
    looks_right(customer)
    customer.registers()
    is_welcome(customer, shop)
    looks_right(customer)


@pytest.mark.parametrize("locale", LOCALES)
def test_all_pages_are_drawn_in_the_dark_too(arrive: Arrive, shop: Shop, locale: str) -> None:
    customer = arrive(shop.provider, locale, PHONE, dark=True)
    opens_shop(customer, shop)
    for step in (customer.gives_phone, lambda: customer.types_code(customer.code())):
        step()
        looks_right(customer)
        assert is_dark(customer.page)
    customer.registers()
    is_welcome(customer, shop)
    assert is_dark(customer.page)


def is_dark(page: Page) -> bool:
    grounds = """[document.documentElement, document.body]
      .map((it) => getComputedStyle(it).backgroundColor)"""
    opaque = [color for color in page.evaluate(grounds) if color.startswith("rgb(")]
    return all(int(part) < 64 for part in re.findall(r"\d+", opaque[0]))


@pytest.mark.parametrize("locale", LOCALES)
def test_the_journey_needs_no_javascript(arrive: Arrive, shop: Shop, locale: str) -> None:
    customer = arrive(shop.provider, locale, PHONE, javascript=False)
    opens_shop(customer, shop)
    customer.gives_phone()
    customer.types_code(customer.wrong_code())
    customer.presses("code.submit")
    customer.sees_problem("field_error.code_wrong", tries_left=4)
    customer.presses("code.resend")
    customer.sees("code.title")
    customer.types_code(customer.code())
    customer.presses("code.submit")
    customer.registers()
    is_welcome(customer, shop)


def test_who_came_before_gives_no_name_again(arrive: Arrive, shop: Shop) -> None:
    customer = arrive(shop.provider)
    opens_shop(customer, shop)
    customer.signs_in()
    is_welcome(customer, shop)
    elsewhere = arrive(shop.provider)
    elsewhere.phone = customer.phone
    opens_shop(elsewhere, shop)
    elsewhere.gives_phone()
    elsewhere.types_code(elsewhere.code())
    is_welcome(elsewhere, shop)


def test_what_is_missing_is_said_at_its_field_and_forgotten_when_mended(
    arrive: Arrive, app: App
) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party())
    # The browser's own bubbles would stop the form before the provider sees it.
    bare = "document.forms[0].noValidate = true"
    customer.phone, phone = "12", customer.phone
    customer.page.get_by_label(customer.says("phone.label")).fill(customer.phone)
    customer.presses("phone.submit")
    customer.sees_problem("field_error.phone_invalid")
    expect(customer.page.get_by_label(customer.says("phone.label"))).to_have_value("12")
    customer.phone = phone
    customer.gives_phone()
    customer.types_code(customer.code())
    customer.sees("profile.title")
    customer.page.evaluate(bare)
    customer.presses("profile.submit")
    problems = customer.page.get_by_role("alert")
    expect(problems).to_have_text(
        [
            customer.says("field_error.required_given_name"),
            customer.says("field_error.required_terms"),
        ]
    )
    name = customer.page.get_by_label(customer.says("profile.given_name"))
    expect(name).to_have_attribute("aria-invalid", "true")
    name.fill("Анна")
    expect(name).not_to_have_attribute("aria-invalid", "true")
    expect(problems).to_have_count(1)
    customer.page.locator("#terms").check()
    expect(problems).to_have_count(0)


def test_the_app_may_choose_the_language(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider, "en")
    customer.goes_to(app.party(), ui_locales="ru")
    expect(customer.page.locator("html")).to_have_attribute("lang", "ru")
    expect(customer.page).to_have_title(f"{said('ru', 'phone.title')} · Булочная")


def test_a_login_hint_prefills_and_sends_nothing(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party(), login_hint=customer.phone)
    expect(customer.page.get_by_label(customer.says("phone.label"))).to_have_value(customer.phone)
    assert app.provider.messages_for(customer.phone) == []
