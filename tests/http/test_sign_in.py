from tests.http.provider import Browser, RelyingParty, claims_of, new_phone


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
