from datetime import datetime

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import RESEND_AFTER, App, Arrive, Shop
from tests.browser.customer import LOCALES, PHONE, Customer


def awaits_code(customer: Customer, app: App) -> None:
    customer.goes_to(app.party())
    customer.gives_phone()


def inbox(customer: Customer) -> list[str]:
    return [message["code"] for message in customer.provider.messages_for(customer.phone)]


@pytest.mark.parametrize("locale", LOCALES)
def test_each_wrong_code_tells_the_tries_left_until_none_is(
    arrive: Arrive, app: App, locale: str
) -> None:
    customer = arrive(app.provider, locale)
    awaits_code(customer, app)
    code = customer.code()
    for left in (4, 3, 2, 1):
        customer.types_code(customer.wrong_code(left))
        customer.sees_problem("field_error.code_wrong", tries_left=left)
    customer.types_code(customer.wrong_code(5))
    customer.sees_problem("field_error.code_exhausted")
    with customer.page.expect_navigation():
        customer.types_code(code)
    customer.sees_problem("field_error.code_exhausted")


def test_a_reload_after_a_wrong_code_costs_no_try(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    awaits_code(customer, app)
    customer.types_code(customer.wrong_code())
    customer.sees_problem("field_error.code_wrong", tries_left=4)
    customer.page.reload()
    customer.sees_problem("field_error.code_wrong", tries_left=4)


@pytest.mark.parametrize("between", ["", " ", " - ", "\u00a0"])
def test_a_pasted_code_is_cleaned_and_sent(arrive: Arrive, app: App, between: str) -> None:
    customer = arrive(app.provider)
    customer.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    awaits_code(customer, app)
    code = customer.code()
    copied = f" {code[:3]}{between}{code[3:]} \n"
    customer.page.evaluate("(text) => navigator.clipboard.writeText(text)", copied)
    customer.page.get_by_label(customer.says("code.label")).press("Control+V")
    customer.sees("profile.title")


def test_the_code_is_found_in_a_whole_pasted_message(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    awaits_code(customer, app)
    copied = f"2 messages. Bakery: your code is {customer.code()}. @127.0.0.1"
    customer.page.evaluate("(text) => navigator.clipboard.writeText(text)", copied)
    customer.page.get_by_label(customer.says("code.label")).press("Control+V")
    customer.sees("profile.title")


def test_the_last_digit_sends_the_code_and_only_once(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    awaits_code(customer, app)
    sent: list[str] = []
    customer.page.on("request", lambda it: sent.append(it.url) if it.method == "POST" else None)
    code = customer.code()
    customer.types_code(f"a{code[:2]} {code[2:5]}")
    field = customer.page.get_by_label(customer.says("code.label"))
    expect(field).to_have_value(code[:5])
    assert sent == []
    field.press_sequentially(code[5])
    customer.sees("profile.title")
    assert len(sent) == 1


def test_the_code_may_be_sent_again_after_the_countdown(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider, size=PHONE)
    awaits_code(customer, app)
    waiting = customer.says("code.resend_wait", time="0:0")
    button = customer.page.locator("form[data-resend-after] button")
    expect(button).to_be_disabled()
    expect(button).to_contain_text(waiting)
    expect(button).to_be_enabled(timeout=(RESEND_AFTER + 2) * 1000)
    expect(button).to_have_text(customer.says("code.resend"))
    expect(customer.page.get_by_role("status")).to_have_text(customer.says("code.resend_ready"))
    button.click()
    expect(button).to_be_disabled()
    first, second = inbox(customer)
    customer.types_code(first)
    customer.sees("profile.title")
    assert first == second  # an old message that comes late is as good as the new one


def test_the_countdown_takes_the_half_minute_that_the_provider_asks_for(
    arrive: Arrive, shop: Shop
) -> None:
    customer = arrive(shop.provider)
    customer.page.clock.install(time=datetime(2030, 1, 1))  # noqa: DTZ001  the browser's own clock
    customer.page.goto(f"{shop.origin}/login")
    customer.gives_phone()
    button = customer.page.locator("form[data-resend-after] button")
    expect(button).to_be_disabled()
    expect(button).to_have_text(customer.says("code.resend_wait", time="0:30"))
    customer.page.clock.run_for(25_000)
    expect(button).to_have_text(customer.says("code.resend_wait", time="0:05"))
    customer.page.clock.run_for(6_000)
    expect(button).to_be_enabled()


def test_without_javascript_the_page_says_when_a_new_code_may_be_had(
    arrive: Arrive, shop: Shop
) -> None:
    customer = arrive(shop.provider, javascript=False)
    customer.page.goto(f"{shop.origin}/login")
    customer.gives_phone()
    note = customer.page.locator("noscript p")
    expect(note).to_be_visible()
    expect(note).to_contain_text("You can ask for a new code in")


def test_a_mistyped_phone_can_be_changed(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    meant = customer.phone
    customer.phone = meant[:-2] + f"{(int(meant[-2:]) + 50) % 100:02}"
    awaits_code(customer, app)
    customer.page.get_by_role("link", name=customer.says("code.change")).click()
    customer.phone = meant
    customer.signs_in()
    assert "code" in customer.answer()
