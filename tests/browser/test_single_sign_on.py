import pytest
from playwright.sync_api import expect

from tests.browser.conftest import App, Arrive, Shop
from tests.browser.customer import LOCALES, Customer


def is_signed_in(customer: Customer, app: App) -> None:
    customer.goes_to(app.party("bakery"))
    customer.signs_in()
    assert "code" in customer.answer()


def test_a_second_channel_asks_nothing(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    is_signed_in(customer, app)
    cafe = app.party("cafe")
    customer.goes_to(cafe)
    answer = customer.answer()
    assert answer["state"] == cafe.state
    assert "id_token" in cafe.redeem(answer["code"]).json()


def test_each_channel_shows_its_own_brand(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    for client_id, name in (("bakery", "Bakery"), ("cafe", "Cafe")):
        customer.goes_to(app.party(client_id))
        expect(customer.page).to_have_title(f"{customer.says('phone.title')} · {name}")
        expect(customer.page.get_by_role("main")).to_contain_text(name)


def test_prompt_login_asks_again(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    is_signed_in(customer, app)
    customer.goes_to(app.party("cafe"), prompt="login")
    customer.gives_phone()
    customer.types_code(customer.code())
    assert "code" in customer.answer()


def test_prompt_none_shows_a_stranger_nothing(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party("cafe"), prompt="none")
    assert customer.answer()["error"] == "login_required"


@pytest.mark.parametrize("locale", LOCALES)
def test_who_cancels_is_back_at_the_app_with_access_denied(
    arrive: Arrive, app: App, locale: str
) -> None:
    customer = arrive(app.provider, locale)
    party = app.party()
    customer.goes_to(party)
    customer.gives_phone()
    customer.presses("common.cancel")
    answer = customer.answer()
    assert (answer["error"], answer["state"]) == ("access_denied", party.state)


def test_the_shop_takes_a_cancelled_sign_in_calmly(arrive: Arrive, shop: Shop) -> None:
    customer = arrive(shop.provider)
    customer.page.goto(f"{shop.origin}/login")
    customer.presses("common.cancel")
    expect(customer.page.get_by_role("heading", level=1)).to_have_text("Sign-in cancelled")


def test_signing_out_of_the_shop_signs_out_everywhere(arrive: Arrive, shop: Shop) -> None:
    customer = arrive(shop.provider)
    customer.page.goto(f"{shop.origin}/login")
    customer.signs_in()
    customer.page.get_by_role("button", name="Sign out", exact=True).click()
    customer.page.wait_for_url(f"{shop.origin}/signed-out**")
    expect(customer.page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    customer.page.goto(f"{shop.origin}/login")
    customer.sees("phone.title")


@pytest.mark.parametrize("locale", LOCALES)
def test_without_a_hint_the_customer_is_asked_before_they_are_signed_out(
    arrive: Arrive, app: App, locale: str
) -> None:
    customer = arrive(app.provider, locale)
    is_signed_in(customer, app)
    customer.page.goto(f"{app.provider.issuer}/logout")
    customer.sees("logout.title")
    expect(customer.page.locator(".lead")).to_have_text(customer.says("logout.lead_everywhere"))
    customer.goes_to(app.party("cafe"))
    assert "code" in customer.answer()  # asked is not yet signed out
    customer.page.goto(f"{app.provider.issuer}/logout")
    customer.presses("logout.submit")
    customer.sees("signed_out.title")
    customer.goes_to(app.party("cafe"))
    customer.sees("phone.title")


def test_after_the_question_the_customer_returns_to_the_app_that_sent_them(
    arrive: Arrive, app: App
) -> None:
    customer = arrive(app.provider)
    is_signed_in(customer, app)
    back = f"{app.origin}/signed-out"
    customer.page.goto(
        f"{app.provider.issuer}/logout?client_id=bakery&state=s&post_logout_redirect_uri={back}"
    )
    customer.sees("logout.title")
    lead = customer.says("logout.lead", name="Bakery")
    expect(customer.page.locator(".lead")).to_have_text(lead)
    customer.presses("logout.submit")
    customer.page.wait_for_url(f"{back}?state=s")
