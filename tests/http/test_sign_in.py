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
