"""A customer is asked what a partner may have, sees it later, and takes it back."""

import pytest
from playwright.sync_api import Locator, ViewportSize, expect

from tests.browser.conftest import App, Arrive
from tests.browser.customer import DESKTOP, LOCALES, PHONE, SMALL_PHONE, Customer
from tests.browser.test_accessibility import is_readable, tab_order
from tests.browser.test_journey import looks_right
from tests.http.partner import NAME, partner
from tests.http.provider import RelyingParty

SIZES = [
    pytest.param(SMALL_PHONE, id="small-phone"),
    pytest.param(PHONE, id="phone"),
    pytest.param(DESKTOP, id="desktop"),
]
ALL = ("profile", "phone", "email", "offline_access")


@pytest.fixture
def corner(app: App) -> RelyingParty:
    """A partner that nobody has vouched for."""
    return partner(app.provider, f"{app.origin}/callback")


def box(customer: Customer, scope: str) -> Locator:
    name = f"{customer.says(f'scope.{scope}.name')} {customer.says(f'scope.{scope}.gives')}"
    return customer.page.get_by_role("checkbox", name=name, exact=True)


def is_signed_in(customer: Customer, app: App) -> None:
    """Have a session from a channel of the group."""
    customer.goes_to(app.party())
    customer.signs_in()
    customer.answer()


def scope_of(party: RelyingParty, customer: Customer) -> str:
    """What the partner was granted."""
    return str(party.redeem(customer.answer()["code"]).json()["scope"])


def partners(customer: Customer) -> None:
    customer.page.goto(f"{customer.provider.issuer}/account/partners")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_new_customer_registers_and_chooses_what_a_partner_gets(
    arrive: Arrive, app: App, corner: RelyingParty, locale: str, size: ViewportSize
) -> None:
    customer = arrive(app.provider, locale, size)
    customer.goes_to(corner)
    customer.signs_in()

    customer.sees("consent.title")
    expect(customer.page).to_have_title(f"{customer.says('consent.title')} · {NAME[locale]}")
    expect(customer.page.locator(".lead")).to_contain_text(NAME[locale])
    looks_right(customer)
    is_readable(customer.page)
    for scope in ALL:
        expect(box(customer, scope)).to_be_checked()
    customer.page.get_by_text(customer.says("scope.phone.gives")).click()  # all of the row is it
    expect(box(customer, "phone")).not_to_be_checked()
    customer.presses("consent.submit")

    assert scope_of(corner, customer) == "openid profile email offline_access"


def test_who_is_signed_in_is_asked_once(arrive: Arrive, app: App, corner: RelyingParty) -> None:
    customer = arrive(app.provider)
    is_signed_in(customer, app)
    customer.goes_to(corner)
    customer.sees("consent.title")
    customer.presses("consent.submit")
    customer.answer()

    customer.goes_to(corner)

    assert scope_of(corner, customer) == corner.scope


def test_what_was_declined_is_not_ticked_when_the_partner_asks_once_more(
    arrive: Arrive, app: App, corner: RelyingParty
) -> None:
    customer = arrive(app.provider)
    is_signed_in(customer, app)
    customer.goes_to(corner)
    box(customer, "email").uncheck()
    customer.presses("consent.submit")
    customer.answer()

    customer.goes_to(corner, prompt="consent")

    expect(box(customer, "email")).not_to_be_checked()
    expect(box(customer, "phone")).to_be_checked()


def test_a_refusal_brings_the_customer_back_with_nothing(
    arrive: Arrive, app: App, corner: RelyingParty
) -> None:
    customer = arrive(app.provider)
    is_signed_in(customer, app)
    customer.goes_to(corner)
    customer.presses("consent.refuse")
    assert customer.answer()["error"] == "access_denied"


def test_all_of_it_works_without_javascript(arrive: Arrive, app: App, corner: RelyingParty) -> None:
    customer = arrive(app.provider, javascript=False)
    customer.goes_to(corner)
    customer.gives_phone()
    customer.page.get_by_label(customer.says("code.label")).fill(customer.code())
    customer.presses("code.submit")
    customer.registers()
    box(customer, "offline_access").uncheck()
    customer.presses("consent.submit")
    assert scope_of(corner, customer) == "openid profile phone email"

    partners(customer)
    customer.page.get_by_role("button").click()
    expect(customer.page.get_by_role("status")).to_be_visible()
    customer.goes_to(corner)
    customer.sees("consent.title")


def test_the_keyboard_goes_through_the_choices_in_the_order_of_sight(
    arrive: Arrive, app: App, corner: RelyingParty
) -> None:
    customer = arrive(app.provider)
    is_signed_in(customer, app)
    customer.goes_to(corner)
    customer.sees("consent.title")
    says = customer.says
    order = [f"allow_{scope}" for scope in ALL]
    order += [says("consent.submit"), says("consent.refuse")]
    assert tab_order(customer, 6)[1:] == order
    customer.page.locator("#allow_phone").focus()
    customer.page.keyboard.press("Space")
    customer.page.keyboard.press("Enter")
    assert scope_of(corner, customer) == "openid profile email offline_access"


def test_the_choices_are_one_group_with_a_name(
    arrive: Arrive, app: App, corner: RelyingParty
) -> None:
    customer = arrive(app.provider)
    is_signed_in(customer, app)
    customer.goes_to(corner)
    group = customer.page.get_by_role("group", name=customer.says("consent.legend"))
    expect(group.get_by_role("checkbox")).to_have_count(len(ALL))


@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize("locale", LOCALES)
def test_every_page_says_whether_the_partner_is_verified(
    arrive: Arrive, app: App, locale: str, *, verified: bool
) -> None:
    customer = arrive(app.provider, locale, PHONE)
    corner = partner(app.provider, f"{app.origin}/callback", verified=verified)
    badge = customer.page.locator(".badge")
    mark = customer.says("partner.verified" if verified else "partner.unverified")
    customer.goes_to(corner)
    customer.sees("phone.title")
    expect(badge).to_have_text(mark)
    looks_right(customer)
    customer.gives_phone()
    expect(badge).to_have_text(mark)
    customer.types_code(customer.code())
    customer.registers()
    customer.sees("consent.title")
    expect(badge).to_have_text(mark)
    warning = customer.page.get_by_text(customer.says("consent.unverified"))
    expect(warning).to_have_count(0 if verified else 1)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("locale", LOCALES)
def test_what_was_allowed_is_seen_and_taken_back_with_one_click(
    arrive: Arrive,
    app: App,
    corner: RelyingParty,
    locale: str,
    size: ViewportSize,
    *,
    dark: bool,
) -> None:
    customer = arrive(app.provider, locale, size, dark=dark)
    customer.goes_to(corner)
    customer.signs_in()
    customer.presses("consent.submit")
    told = corner.redeem(customer.answer()["code"]).json()

    partners(customer)
    customer.sees("partners.title")
    expect(customer.page.get_by_role("heading", level=2)).to_have_text(NAME[locale])
    names = [customer.says(f"scope.{scope}.name") for scope in ("openid", *ALL)]
    expect(customer.page.locator(".partner li")).to_have_text(names)
    looks_right(customer)
    is_readable(customer.page)
    customer.page.get_by_role("button", name=NAME[locale]).click()

    expect(customer.page.get_by_role("status")).to_have_text(customer.says("partners.withdrawn"))
    expect(customer.page.get_by_text(customer.says("partners.none"))).to_be_visible()
    is_readable(customer.page)
    assert corner.refresh(told["refresh_token"]).json()["error"] == "invalid_grant"
    assert app.provider.userinfo(told["access_token"]).status_code == 401


@pytest.mark.parametrize("locale", LOCALES)
def test_who_is_not_signed_in_is_told_so(arrive: Arrive, app: App, locale: str) -> None:
    customer = arrive(app.provider, locale, PHONE)
    partners(customer)
    customer.sees("partners.sign_in_title")
    looks_right(customer)
    is_readable(customer.page)
