"""Back to the app by every way there is, past the Content-Security-Policy of our own pages."""

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import App, Arrive, Shop
from tests.http.provider import RelyingParty, claims_of

APP_SCHEME = "com.example.demo:/callback"


@pytest.mark.parametrize("mode", ["query", "form_post"])
@pytest.mark.parametrize("javascript", [True, False])
def test_the_answer_reaches_another_origin(
    arrive: Arrive, app: App, mode: str, *, javascript: bool
) -> None:
    customer = arrive(app.provider, javascript=javascript)
    party = app.party()
    customer.goes_to(party, response_mode=mode)
    customer.gives_phone()
    customer.types_code(customer.code())
    if not javascript:
        customer.presses("code.submit")
    customer.registers()
    if mode == "form_post" and not javascript:
        customer.sees("form_post.title")
        customer.presses("common.continue")
    answer = customer.answer()
    assert answer["method"] == ("POST" if mode == "form_post" else "GET")
    assert (answer["state"], answer["iss"]) == (party.state, app.provider.issuer)
    assert claims_of(party.redeem(answer["code"]).json()["id_token"])["nonce"] == party.nonce


def test_the_answer_may_come_in_the_fragment(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    party = app.party()
    customer.goes_to(party, response_mode="fragment")
    customer.signs_in()
    customer.page.wait_for_url(f"{party.redirect_uri}#**")
    assert parse_qs(urlsplit(customer.page.url).fragment)["state"] == [party.state]


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_cancelling_leads_back_in_the_same_way(arrive: Arrive, app: App, mode: str) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party(), response_mode=mode)
    customer.presses("common.cancel")
    assert customer.answer()["error"] == "access_denied"


def test_form_post_works_by_single_sign_on_too(arrive: Arrive, app: App) -> None:
    customer = arrive(app.provider)
    customer.goes_to(app.party())
    customer.signs_in()
    customer.answer()
    customer.goes_to(app.party("cafe"), response_mode="form_post")
    answer = customer.answer()
    assert (answer["method"], "code" in answer) == ("POST", True)


def test_an_app_on_this_machine_is_reached_at_whatever_port(
    arrive: Arrive, app: App, shop: Shop
) -> None:
    address = f"{app.origin.replace('localhost', '127.0.0.1')}/callback"
    party = RelyingParty(shop.provider, "demo-native", address)
    customer = arrive(shop.provider)
    customer.goes_to(party)
    customer.signs_in()
    customer.page.wait_for_url(f"{address}?**")
    code = parse_qs(urlsplit(customer.page.url).query)["code"][0]
    assert "refresh_token" in party.redeem(code).json()


@pytest.mark.parametrize("ending", ["code", "error"])
def test_an_app_is_called_by_its_own_scheme(arrive: Arrive, shop: Shop, ending: str) -> None:
    customer = arrive(shop.provider)
    party = RelyingParty(shop.provider, "demo-native", APP_SCHEME)
    customer.goes_to(party)
    # Nothing here can open the address; a form-action that forbids it would end in a complaint.
    with customer.page.expect_request(lambda it: it.url.startswith(APP_SCHEME)) as call:
        if ending == "code":
            customer.signs_in()
        else:
            customer.presses("common.cancel")
    answer = parse_qs(urlsplit(call.value.url).query)
    assert ending in answer
    assert answer["state"] == [party.state]
    customer.page.wait_for_timeout(100)  # for what the console may still say
