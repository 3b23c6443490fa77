import pytest
from playwright.sync_api import expect

from tests.browser.conftest import App, Arrive
from tests.browser.customer import LOCALES, PHONE, Customer
from tests.http.provider import new_phone
from tests.process.processes import eventually


def is_called(customer: Customer, app: App) -> str:
    """Begin with a number that development's cascade calls first; the call's last four digits."""
    customer.phone = f"+7900{new_phone()[-7:]}"
    customer.goes_to(app.party())
    customer.sees("phone.title")
    customer.page.get_by_label(customer.says("phone.label")).fill(customer.phone)
    customer.presses("phone.submit")
    customer.sees("code.call_title")
    eventually(lambda: bool(inbox(customer)), "the call is made")
    return inbox(customer)[0]["code"]


def inbox(customer: Customer) -> list[dict[str, str]]:
    with customer.provider.client() as client:
        found: list[dict[str, str]] = client.get(
            "/dev/inbox.json", params={"phone": customer.phone}
        ).json()
    return found


@pytest.mark.parametrize("locale", LOCALES)
def test_the_last_four_digits_of_the_call_sign_in(arrive: Arrive, app: App, locale: str) -> None:
    customer = arrive(app.provider, locale, size=PHONE)
    digits = is_called(customer, app)
    expect(customer.page.locator(".code-cells span")).to_have_count(4)
    field = customer.page.get_by_label(customer.says("code.call_label"))
    field.press_sequentially(f"{(int(digits) + 1) % 10**4:04}")
    customer.sees_problem("field_error.code_wrong", tries_left=2)
    field.press_sequentially(digits)
    customer.sees("profile.title")


def test_a_message_may_come_while_the_page_shows_the_call(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider, size=PHONE)
    customer.page.route("**/delivery", lambda route: route.fulfill(json={"delivery": None}))
    is_called(customer, app)
    field = customer.page.get_by_label(customer.says("code.call_label"))
    cells = customer.page.locator(".code-cells span")
    eventually(lambda: len(inbox(customer)) > 1, "the message is sent", 40)
    code = inbox(customer)[0]["code"]
    field.press_sequentially(code[:5], delay=100)
    expect(cells).to_have_count(6)
    expect(field).to_have_value(code[:5])
    field.press("Backspace")
    expect(cells).to_have_count(4)
    field.press_sequentially(code[4:], delay=100)
    customer.sees("profile.title")


@pytest.mark.parametrize("number", ["+7 495 123-{}", "+7495123{}", "{}"])
def test_the_whole_calling_number_may_be_pasted(arrive: Arrive, app: App, number: str) -> None:
    customer = arrive(app.provider)
    customer.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    digits = is_called(customer, app)
    copied = number.format(digits)
    customer.page.evaluate("(text) => navigator.clipboard.writeText(text)", copied)
    customer.page.get_by_label(customer.says("code.call_label")).press("Control+V")
    customer.sees("profile.title")


def test_the_page_asks_for_the_message_when_that_has_been_sent(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    is_called(customer, app)
    expect(customer.page.get_by_role("heading", level=1)).to_have_text(
        customer.says("code.title"), timeout=40_000
    )
    expect(customer.page.locator(".code-cells span")).to_have_count(6)
    customer.types_code(inbox(customer)[0]["code"])
    customer.sees("profile.title")
