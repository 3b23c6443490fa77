import pytest

from tests.http.provider import Browser, RelyingParty, Running, claims_of, new_phone


def test_the_first_sign_in_registers_and_ends_with_tokens(
    browser: Browser, party: RelyingParty
) -> None:
    phone = new_phone()
    tokens = browser.tokens(party, phone)
    claims = claims_of(tokens["id_token"])
    assert claims["nonce"] == party.nonce
    assert claims["aud"] == "demo"
    with browser.provider.client() as client:
        userinfo = client.get(
            "/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}
        ).json()
    assert userinfo["sub"] == claims["sub"]
    assert userinfo["phone_number"] == phone
    assert userinfo["given_name"] == "Анна"


def test_a_customer_of_the_phone_grant_accepts_the_terms_at_the_first_page(
    browser: Browser, party: RelyingParty, provider: Running
) -> None:
    phone = new_phone()
    bot = RelyingParty(provider, client_id="demo-bot")
    otp_session = bot.post("/otp", phone=phone).json()["otp_session"]
    grant_type = "urn:x5id:oauth:grant-type:phone-otp"
    otp = provider.code_for(phone)
    by_bot = bot.token(grant_type=grant_type, otp_session=otp_session, otp=otp).json()
    browser.authorize(party)
    browser.submit("phone", phone=phone)
    response = browser.submit("code", code=provider.code_for(phone))
    assert response.headers["location"].endswith("/profile")
    tokens = browser.tokens(party, phone)
    assert claims_of(tokens["id_token"])["sub"] == claims_of(by_bot["id_token"])["sub"]


@pytest.mark.parametrize("phone", ["", "nobody", "112", "+7 916", "8 800 555-35-35"])
def test_what_is_no_customers_phone_is_asked_for_again(
    browser: Browser, party: RelyingParty, phone: str
) -> None:
    browser.authorize(party)
    page = browser.submit("phone", phone=phone)
    assert page.status_code == 400
    assert "Check the number" in page.text
    assert f'value="{phone}"' in page.text


def test_a_page_tells_when_a_phone_has_had_its_codes(browser: Browser, party: RelyingParty) -> None:
    phone = new_phone()
    for _ in range(5):
        browser.authorize(party)
        assert browser.submit("phone", phone=phone).status_code == 303
    browser.authorize(party)
    page = browser.submit("phone", phone=phone)
    assert page.status_code == 429
    assert 0 < int(page.headers["retry-after"]) <= 120
    assert "Too many attempts" in page.text


def test_a_code_whose_tries_are_used_up_is_good_no_more(
    browser: Browser, party: RelyingParty
) -> None:
    phone = new_phone()
    browser.authorize(party)
    browser.submit("phone", phone=phone)
    right = browser.provider.code_for(phone)
    wrong = [code for code in (f"{number:06}" for number in range(6)) if code != right][:5]
    told = [browser.submit("code", code=code).headers["location"] for code in wrong]
    assert [it.rpartition("error=")[2] for it in told] == ["code_wrong"] * 4 + ["code_exhausted"]
    assert browser.submit("code", code=right).headers["location"].endswith("=code_exhausted")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"given_name": "", "terms": "accepted"}, "Tell us your name."),
        ({"given_name": "   ", "terms": "accepted"}, "Tell us your name."),
        ({"given_name": "Анна"}, "You need to accept the terms"),
        ({"given_name": "А" * 101, "terms": "accepted"}, "Please shorten it."),
    ],
)
def test_nobody_registers_without_a_name_and_the_terms(
    browser: Browser, party: RelyingParty, fields: dict[str, str], told: str
) -> None:
    browser.authorize(party)
    browser.prove(new_phone())
    page = browser.submit("profile", **fields)
    assert page.status_code == 400
    assert told in page.text
    assert "set-cookie" not in page.headers
    answer = browser.submit("profile", given_name="Анна", terms="accepted")
    assert "code=" in answer.headers["location"]


def test_nobody_registers_before_the_phone_is_proven(browser: Browser, party: RelyingParty) -> None:
    browser.authorize(party)
    browser.submit("phone", phone=new_phone())
    page = browser.submit("profile", given_name="Анна", terms="accepted")
    assert page.status_code == 400
    assert "location" not in page.headers
