import re

import pytest
from playwright.sync_api import Page, expect

from idp.palette import AA_TEXT, contrast
from tests.browser.conftest import App, Arrive, Shop
from tests.browser.customer import PHONE, Customer

FOCUSED = """() => {
  const it = document.activeElement;
  return it.id || it.textContent.trim().replace(/\\s+/g, " ");
}"""
# Each visible piece of text, with its colour and the nearest ground that is painted.
TEXTS = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility()) continue;
    if (element.closest("noscript, script, .unseen")) continue;
    let ground = element;
    while (ground && getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") {
      ground = ground.parentElement;
    }
    const under = getComputedStyle(ground || document.documentElement).backgroundColor;
    found.push([text, getComputedStyle(element).color, under]);
  }
  return found;
}"""


def colour(computed: str) -> str:
    assert computed.startswith("rgb("), computed
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", computed))


def is_readable(page: Page) -> None:
    texts = page.evaluate(TEXTS)
    assert len(texts) > 3
    faint = [text for text, ink, ground in texts if contrast(colour(ink), colour(ground)) < AA_TEXT]
    assert faint == []


def tab_order(customer: Customer, steps: int) -> list[str]:
    order = [customer.page.evaluate(FOCUSED)]
    for _ in range(steps):
        customer.page.keyboard.press("Tab")
        order.append(customer.page.evaluate(FOCUSED))
    return order


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_read_against_its_ground(
    arrive: Arrive, app: App, shop: Shop, *, dark: bool
) -> None:
    customer = arrive(app.provider, size=PHONE, dark=dark)
    customer.goes_to(app.party())
    is_readable(customer.page)
    customer.gives_phone()
    is_readable(customer.page)
    customer.types_code(customer.wrong_code())
    expect(customer.page.get_by_role("alert")).to_be_visible()
    is_readable(customer.page)
    customer.types_code(customer.code())
    customer.sees("profile.title")
    is_readable(customer.page)
    customer.page.goto(f"{app.provider.issuer}/logout")
    is_readable(customer.page)
    customer.page.goto(f"{app.provider.issuer}/nowhere")
    is_readable(customer.page)
    customer.page.goto(shop.origin)
    is_readable(customer.page)


def test_the_keyboard_goes_through_the_pages_in_the_order_of_sight(
    arrive: Arrive, app: App
) -> None:
    customer = arrive(app.provider, "ru")
    says = customer.says
    customer.goes_to(app.party())
    assert tab_order(customer, 2) == ["phone", says("phone.submit"), says("common.cancel")]
    customer.gives_phone()
    expect(customer.page.locator("form[data-resend-after] button")).to_be_enabled()
    order = ["code", says("code.submit"), says("code.resend"), says("common.cancel")]
    assert tab_order(customer, 3) == order
    customer.page.locator("#code").focus()
    customer.types_code(customer.code())
    customer.sees("profile.title")
    links = [says("profile.terms_link"), says("profile.privacy_link")]
    order = ["given_name", "family_name", "terms", *links, says("profile.submit")]
    assert tab_order(customer, 5) == order


def test_the_whole_journey_works_by_keyboard(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    keyboard = customer.page.keyboard
    customer.goes_to(app.party())
    keyboard.type(customer.phone)
    keyboard.press("Enter")
    customer.sees("code.title")
    keyboard.type(customer.code())
    customer.sees("profile.title")
    keyboard.type("Анна")
    keyboard.press("Tab")
    keyboard.press("Tab")
    keyboard.press("Space")
    keyboard.press("Enter")
    assert "code" in customer.answer()


def test_browsers_know_what_each_field_is_for(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider, size=PHONE)
    page = customer.page
    customer.goes_to(app.party())
    phone = page.get_by_label(customer.says("phone.label"))
    expect(phone).to_have_attribute("autocomplete", "tel")
    expect(phone).to_have_attribute("inputmode", "tel")
    customer.gives_phone()
    code = page.get_by_label(customer.says("code.label"))
    expect(code).to_have_attribute("autocomplete", "one-time-code")
    expect(code).to_have_attribute("inputmode", "numeric")
    customer.types_code(customer.code())
    for name in ("given_name", "family_name"):
        field = page.get_by_label(customer.says(f"profile.{name}"))
        expect(field).to_have_attribute("autocomplete", name.replace("_", "-"))
    terms = page.get_by_role("checkbox")
    expect(terms).to_have_accessible_name(
        customer.says("profile.terms", terms="terms of use", privacy="privacy policy")
    )


def test_a_problem_describes_its_field(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party())
    customer.gives_phone()
    customer.types_code(customer.wrong_code())
    tries = customer.says("field_error.tries_left", count=4)
    field = customer.page.get_by_label(customer.says("code.label"))
    expect(field).to_have_attribute("aria-invalid", "true")
    problem = customer.says("field_error.code_wrong", tries=tries)
    expect(field).to_have_accessible_description(problem)
    expect(field).to_be_focused()


def test_fingers_can_hit_every_button_and_field(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider, size=PHONE)
    customer.goes_to(app.party())
    small = """[...document.querySelectorAll("button, input:not([type=hidden])")]
      .filter((it) => it.getBoundingClientRect().height < 24).map((it) => it.outerHTML)"""
    assert customer.page.evaluate(small) == []
    customer.gives_phone()
    assert customer.page.evaluate(small) == []
    customer.types_code(customer.code())
    customer.sees("profile.title")
    assert customer.page.evaluate(small) == []
