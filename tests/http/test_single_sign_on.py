"""One browser, one session, every channel; a journey survives reloads and second clicks."""

import re
import time

import httpx2
import pytest

from tests.http.provider import (
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    hidden_fields,
    new_phone,
    parameters_of,
)

PROFILE = {"given_name": "Анна", "terms": "accepted"}


@pytest.fixture
def phone(other_browser: Browser, party: RelyingParty) -> str:
    """The phone of a customer, who is known already."""
    registered = new_phone()
    other_browser.sign_in(party, registered)
    return registered


def cookie(response: httpx2.Response, name: str) -> str | None:
    cookies: list[str] = response.headers.get_list("set-cookie")
    return next((it for it in cookies if it.startswith(f"{name}=")), None)


def is_page(response: httpx2.Response, status: int) -> bool:
    return response.status_code == status and "location" not in response.headers


# Across channels


def test_the_second_channel_asks_for_no_second_code(
    provider: Running, browser: Browser, party: RelyingParty
) -> None:
    phone = new_phone()
    first = claims_of(browser.tokens(party, phone)["id_token"])
    other = RelyingParty(
        provider, "lugavitsa-site", "https://lugavitsa.example.com/auth/callback", "openid"
    )
    answer = parameters_of(browser.authorize(other))
    second = claims_of(other.redeem(answer["code"]).json()["id_token"])
    for name in ("sub", "sid", "auth_time"):
        assert first[name] == second[name]
    assert (first["aud"], second["aud"]) == ("demo", "lugavitsa-site")
    assert len(browser.provider.messages_for(phone)) == 1


def test_each_answer_has_a_code_of_its_own(browser: Browser, party: RelyingParty) -> None:
    browser.sign_in(party, new_phone())
    codes = {parameters_of(browser.authorize(party))["code"] for _ in range(3)}
    assert len(codes) == 3


def test_a_session_belongs_to_its_browser(
    browser: Browser, other_browser: Browser, party: RelyingParty
) -> None:
    browser.sign_in(party, new_phone())
    other_browser.http.cookies.set("session", browser.http.cookies["session"][:-1] + "x")
    assert "error" in parameters_of(other_browser.authorize(party, prompt="none"))


# Cookies


def test_the_session_cookie_is_for_the_whole_site_and_for_no_script(
    browser: Browser, party: RelyingParty
) -> None:
    browser.authorize(party)
    browser.prove(new_phone())
    given = cookie(browser.submit("profile", **PROFILE), "session")
    assert given is not None
    name, *attributes = given.split("; ")
    assert re.fullmatch(r"session=[\w-]{43}", name)
    assert set(attributes) == {"HttpOnly", "Max-Age=15552000", "Path=/", "SameSite=lax"}


def test_an_interactions_cookie_is_for_that_interaction_alone(
    browser: Browser, party: RelyingParty
) -> None:
    names = [browser.authorize(party).headers["set-cookie"].split("=")[0] for _ in range(2)]
    assert names[1] == f"interaction-{browser.interaction.rsplit('/', 1)[1]}"
    assert names[0] != names[1]


def test_an_interactions_cookie_outlives_it_for_the_late(
    browser: Browser, party: RelyingParty
) -> None:
    attributes = browser.authorize(party).headers["set-cookie"].split("; ")[1:]
    assert set(attributes) == {"HttpOnly", "Max-Age=5400", "Path=/", "SameSite=lax"}


def test_a_browser_holds_only_so_many_interactions(browser: Browser, party: RelyingParty) -> None:
    begun = []
    for _ in range(12):
        browser.authorize(party)
        begun.append(browser.interaction)
    assert len(browser.http.cookies) == 10
    browser.interaction = begun[-10]
    assert browser.get("phone").status_code == 200
    browser.interaction = begun[-11]
    assert browser.get("phone").status_code == 400


def test_the_cookie_stays_when_the_same_customer_signs_in_again(
    browser: Browser, party: RelyingParty, phone: str
) -> None:
    browser.sign_in(party, phone)
    browser.authorize(party, prompt="login")
    again = browser.prove(phone)
    assert "code" in parameters_of(again)
    assert cookie(again, "session") is None


def test_the_cookie_changes_when_another_customer_signs_in(
    browser: Browser, party: RelyingParty, phone: str
) -> None:
    browser.sign_in(party, new_phone())
    before = browser.http.cookies["session"]
    browser.authorize(party, prompt="login")
    assert cookie(browser.prove(phone), "session") is not None
    assert browser.http.cookies["session"] != before


# Second clicks, reloads, the back button


def test_a_second_click_gives_the_same_answer(
    browser: Browser, party: RelyingParty, phone: str
) -> None:
    browser.authorize(party)
    first = browser.prove(phone)
    second = browser.submit("code", code=browser.provider.code_for(phone))
    assert first.headers["location"] == second.headers["location"]
    assert cookie(first, "session") == cookie(second, "session") is not None
    assert party.redeem(parameters_of(second)["code"]).status_code == 200


def test_a_second_click_on_the_profile_gives_the_same_answer(
    browser: Browser, party: RelyingParty
) -> None:
    browser.authorize(party)
    browser.prove(new_phone())
    first, second = browser.submit("profile", **PROFILE), browser.submit("profile", **PROFILE)
    assert first.headers["location"] == second.headers["location"]


def test_once_the_code_is_used_a_second_click_gets_a_new_one(
    browser: Browser, party: RelyingParty, phone: str
) -> None:
    browser.authorize(party)
    used = parameters_of(browser.prove(phone))["code"]
    tokens = party.redeem(used).json()
    fresh = parameters_of(browser.submit("code", code=browser.provider.code_for(phone)))["code"]
    assert fresh != used
    assert party.redeem(fresh).status_code == 200
    # It is another grant: the first one was not replayed.
    assert browser.provider.userinfo(tokens["access_token"]).status_code == 200


@pytest.mark.parametrize("page", ["phone", "code", "profile"])
def test_a_finished_journey_answers_by_the_session(
    browser: Browser, party: RelyingParty, phone: str, page: str
) -> None:
    browser.authorize(party)
    browser.prove(phone)
    code = parameters_of(browser.get(page))["code"]
    assert party.redeem(code).status_code == 200


def test_a_finished_journey_does_not_outlive_its_session(
    browser: Browser, party: RelyingParty, phone: str
) -> None:
    tokens = browser.tokens(party, phone)
    done = browser.interaction
    browser.http.get("/logout", params={"id_token_hint": tokens["id_token"]})
    browser.arrive(browser.get("phone"))
    assert browser.interaction not in ("", done)
    assert "code" in parameters_of(browser.prove(phone))


def test_a_page_that_comes_too_early_leads_to_the_step_that_is_next(
    browser: Browser, party: RelyingParty
) -> None:
    browser.authorize(party)
    assert browser.get("code").headers["location"] == f"{browser.interaction}/phone"
    assert browser.get("profile").headers["location"] == f"{browser.interaction}/phone"
    browser.submit("phone", phone=new_phone())
    assert browser.get("profile").headers["location"] == f"{browser.interaction}/code"


def test_going_back_to_correct_the_phone_sends_a_code_there(
    browser: Browser, party: RelyingParty, phone: str
) -> None:
    mistaken = new_phone()
    browser.authorize(party)
    browser.submit("phone", phone=mistaken)
    assert f'value="{mistaken}"' in browser.get("phone").text
    assert "code" in parameters_of(browser.prove(phone))


def test_going_back_and_forth_sends_one_message(
    browser: Browser, party: RelyingParty, phone: str
) -> None:
    before = len(browser.provider.messages_for(phone))
    browser.authorize(party)
    for _ in range(3):
        browser.submit("phone", phone=phone)
        assert browser.get("code").status_code == 200
    browser.submit("resend")
    assert len(browser.provider.messages_for(phone)) == before + 1


def test_a_wrong_code_may_be_corrected(browser: Browser, party: RelyingParty, phone: str) -> None:
    browser.authorize(party)
    browser.submit("phone", phone=phone)
    right = browser.provider.code_for(phone)
    wrong = browser.submit("code", code="000000" if right != "000000" else "000001")
    page = browser.http.get(wrong.headers["location"])
    assert page.status_code == 200
    assert "4\N{NO-BREAK SPACE}attempts left" in page.text
    assert "code" in parameters_of(browser.submit("code", code=f" {right[:3]} {right[3:]} "))


# Expiry


def test_an_expired_journey_begins_anew(hasty: Running, open_browser: OpenBrowser) -> None:
    party, browser = RelyingParty(hasty), open_browser(hasty)
    browser.authorize(party)
    expired = browser.interaction
    csrf = hidden_fields(browser.get("phone").text)["csrf"]
    time.sleep(4.1)
    posted = browser.http.post(f"{expired}/phone", data={"csrf": csrf, "phone": new_phone()})
    browser.arrive(posted)
    assert browser.interaction not in ("", expired)
    assert "/profile" in browser.prove(new_phone()).headers["location"]
    answer = parameters_of(browser.submit("profile", **PROFILE))
    assert answer["state"] == party.state


def test_an_expired_code_is_told_and_another_one_sent(
    hasty: Running, open_browser: OpenBrowser
) -> None:
    browser = open_browser(hasty)
    browser.authorize(RelyingParty(hasty))
    browser.submit("phone", phone=(phone := new_phone()))
    code = hasty.code_for(phone)
    time.sleep(2.1)
    assert browser.submit("code", code=code).headers["location"].endswith("error=code_expired")
    browser.submit("resend")
    fresh = hasty.code_for(phone)
    assert browser.submit("code", code=fresh).headers["location"].endswith("/profile")


# Two at once


def test_two_journeys_in_one_browser_do_not_disturb_each_other(
    provider: Running, browser: Browser, party: RelyingParty, phone: str
) -> None:
    second_party = RelyingParty(provider, "demo-rs256", scope="openid")
    browser.authorize(party)
    first = browser.interaction
    browser.authorize(second_party)
    second = browser.interaction
    answer = parameters_of(browser.prove(phone))
    assert answer["state"] == second_party.state
    browser.interaction = first
    assert parameters_of(browser.prove(phone))["state"] == party.state
    assert first != second


def test_a_journey_belongs_to_the_browser_that_began_it(
    browser: Browser, other_browser: Browser, party: RelyingParty
) -> None:
    browser.authorize(party)
    csrf = hidden_fields(browser.get("phone").text)["csrf"]
    path = f"{browser.interaction}/phone"
    assert is_page(other_browser.http.get(path), 400)
    fields = {"csrf": csrf, "phone": new_phone()}
    assert is_page(other_browser.http.post(path, data=fields), 403)


def test_a_form_without_its_token_does_nothing(browser: Browser, party: RelyingParty) -> None:
    browser.authorize(party)
    phone = new_phone()
    for page in ("phone", "code", "resend", "profile", "cancel"):
        for csrf in ("", "guess"):
            refused = browser.http.post(
                f"{browser.interaction}/{page}", data={"csrf": csrf, "phone": phone}
            )
            assert is_page(refused, 403)
    assert browser.provider.messages_for(phone) == []


def test_a_journey_that_never_was_is_a_page(browser: Browser) -> None:
    browser.interaction = "/interaction/nothing"
    assert is_page(browser.get("phone"), 400)
