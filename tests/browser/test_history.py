from collections.abc import Sequence

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import App, Arrive, Shop
from tests.browser.customer import Customer, link


def test_back_and_forward_between_phone_and_code_keep_both(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party())
    customer.gives_phone()
    customer.page.go_back()
    customer.sees("phone.title")
    shown = customer.page.get_by_label(customer.says("phone.label")).input_value()
    assert "+" + "".join(filter(str.isdigit, shown)) == customer.phone
    customer.page.go_forward()
    customer.sees("code.title")
    customer.types_code(customer.code())
    customer.registers()
    assert "code" in customer.answer()


def test_a_phone_that_is_sent_twice_gets_one_code(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party())
    customer.gives_phone()
    code = customer.code()
    customer.page.go_back()
    customer.gives_phone()
    customer.types_code(code)
    customer.sees("profile.title")


def test_a_reload_of_any_page_stays_there(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party())
    customer.page.reload()
    customer.gives_phone()
    customer.page.reload()
    customer.sees("code.title")
    customer.types_code(customer.code())
    customer.sees("profile.title")
    customer.page.reload()
    customer.registers()
    assert "code" in customer.answer()


def test_back_from_the_profile_leads_to_the_profile_again(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party())
    customer.gives_phone()
    customer.types_code(customer.code())
    customer.sees("profile.title")
    customer.page.go_back()
    customer.registers()
    assert "code" in customer.answer()


def test_back_after_the_sign_in_answers_the_app_once_more(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    party = app.party()
    customer.goes_to(party)
    customer.signs_in()
    first = customer.answer()
    customer.page.go_back()
    second = customer.answer()
    assert second["state"] == first["state"]
    assert second["code"] != first["code"]
    assert "id_token" in party.redeem(second["code"]).json()


def test_back_after_the_sign_in_leads_home_in_the_shop(arrive: Arrive, shop: Shop) -> None:
    customer = arrive(shop.provider)
    customer.page.goto(shop.origin)
    customer.page.goto(f"{shop.origin}/login")
    customer.signs_in()
    customer.page.wait_for_url(f"{shop.origin}/")
    customer.page.go_back()
    customer.page.wait_for_url(f"{shop.origin}/")
    expect(customer.page.get_by_role("heading", level=1)).to_have_text("Hello, Анна!")


def open_at_the_same_moment(tabs: Sequence[Customer], addresses: Sequence[str]) -> None:
    """From pages of their own, so that every request leaves before any is answered."""
    for tab, address in zip(tabs, addresses, strict=True):
        go = "(address) => { setTimeout(() => { location.href = address }, 100) }"
        tab.page.evaluate(go, address)
    for tab in tabs:
        tab.sees("phone.title")


def test_two_tabs_of_one_shop_both_sign_in(arrive: Arrive, shop: Shop) -> None:
    customer = arrive(shop.provider)
    other = customer.another_tab()
    for tab in (customer, other):
        tab.page.goto(shop.origin)
    open_at_the_same_moment((customer, other), [f"{shop.origin}/login"] * 2)
    codes = []
    for tab in (customer, other):
        tab.gives_phone()
        codes.append(tab.code())
    customer.types_code(codes[0])
    customer.registers()
    customer.page.wait_for_url(f"{shop.origin}/")
    other.types_code(codes[1])
    other.page.wait_for_url(f"{shop.origin}/")
    expect(other.page.get_by_role("heading", level=1)).to_have_text("Hello, Анна!")


@pytest.mark.parametrize("clients", [("bakery", "bakery"), ("bakery", "cafe")])
def test_two_tabs_that_begin_at_the_same_moment_both_sign_in(
    arrive: Arrive, app: App, clients: tuple[str, str]
) -> None:
    customer = arrive(app.provider)
    tabs = (customer, customer.another_tab())
    parties = [app.party(client_id) for client_id in clients]
    for tab in tabs:
        tab.page.goto(app.origin)
    open_at_the_same_moment(tabs, [link(party) for party in parties])
    codes = []
    for tab in tabs:
        tab.gives_phone()
        codes.append(tab.code())
    for tab, party, code in zip(tabs, parties, codes, strict=True):
        tab.types_code(code)
        if tab is customer:
            tab.registers()
        answer = tab.answer()
        assert answer["state"] == party.state
        assert "id_token" in party.redeem(answer["code"]).json()


def test_a_journey_that_waited_in_another_tab_goes_on_by_single_sign_on(
    arrive: Arrive, app: App
) -> None:
    customer = arrive(app.provider)
    waiting = customer.another_tab()
    party = app.party("cafe")
    waiting.goes_to(party)
    customer.goes_to(app.party("bakery"))
    customer.signs_in()
    customer.answer()
    waiting.goes_to(party)
    assert "code" in waiting.answer()
