"""What a channel says in its file, as its customers, its clients and their libraries see it."""

import time
from collections.abc import Iterator

import pytest

from conf.channels_file import load_channels
from conf.settings import load
from idp.channels import apply_with_store
from tests.http.provider import (
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    new_phone,
)
from tests.http.provider import provider as run_provider

CALLBACK = "http://localhost:8001/callback"
APP_CALLBACK = "com.example.bakery:/callback"
FINGERPRINT = ":".join(["0A"] * 32)
CHANNELS = f"""
[[channels]]
id = "bakery"
name = "Bakery"
locale = "ru"
scopes = ["openid", "profile", "phone"]
claims = ["given_name", "phone_number"]

[channels.brand]
name = {{ ru = "Булочная", en = "Bakery" }}
color = "#7a4a12"
logo = "logos/demo.svg"
favicon = "logos/gorst.svg"
terms_uri = "https://bakery.example.com/terms"
privacy_uri = "https://bakery.example.com/privacy"

[channels.support]
phone = "+7 800 555-35-35"
email = "help@bakery.example.com"
url = "https://bakery.example.com/help"

[channels.messages]
sender = "Bakery"
one_time_code = {{ ru = "Код {{code}} для «{{channel}}» на {{origin}}" }}

[channels.lifetimes]
access_token_seconds = 20
id_token_seconds = 30
refresh_idle_seconds = 2
sign_in_seconds = 2

[channels.android]
package_name = "com.example.bakery"
sha256_cert_fingerprints = ["{FINGERPRINT}"]
sms_retriever_hash = "FA+9qCX9VSu"

[channels.ios]
app_id = "ABCDE12345.com.example.bakery"

[[channels.clients]]
client_id = "bakery"
client_name = "Bakery"
secret = {{ file = "bakery" }}
redirect_uris = ["{CALLBACK}"]
grant_types = ["authorization_code", "refresh_token", "urn:x5id:oauth:grant-type:phone-otp"]
refresh_token_policy = "always"

[[channels.clients]]
client_id = "bakery-app"
client_name = "Bakery"
platform = "android"
application_type = "native"
token_endpoint_auth_method = "none"
redirect_uris = ["{APP_CALLBACK}"]

[[channels]]
id = "kvass"
name = "Kvass"
locale = "ru"
locales = ["ru"]

[channels.brand]
name = {{ ru = "Квас" }}
color = "#123456"
logo = "logos/demo.svg"
terms_uri = "https://kvass.example.com/terms"
privacy_uri = "https://kvass.example.com/privacy"

[[channels.clients]]
client_id = "kvass"
client_name = "Kvass"
secret = {{ file = "kvass" }}
redirect_uris = ["{CALLBACK}"]
grant_types = ["authorization_code"]
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    with run_provider(channels=CHANNELS) as running:
        yield running


@pytest.fixture
def party(provider: Running) -> RelyingParty:
    return RelyingParty(provider, "bakery", CALLBACK)


def test_tokens_live_as_long_as_the_channel_says(browser: Browser, party: RelyingParty) -> None:
    tokens = browser.tokens(party, new_phone())
    access, identity = claims_of(tokens["access_token"]), claims_of(tokens["id_token"])
    assert tokens["expires_in"] == access["exp"] - access["iat"] == 20
    assert identity["exp"] - identity["iat"] == 30


def test_a_refresh_token_that_idles_longer_than_the_channel_says_ends(
    browser: Browser, party: RelyingParty
) -> None:
    tokens = browser.tokens(party, new_phone())
    rotated = party.refresh(tokens["refresh_token"])
    assert rotated.status_code == 200
    time.sleep(3)
    refused = party.refresh(rotated.json()["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


def test_a_sign_in_is_good_for_the_channel_for_as_long_as_it_says(
    browser: Browser, party: RelyingParty, provider: Running
) -> None:
    other = RelyingParty(provider)
    phone = new_phone()
    browser.sign_in(other, phone)
    time.sleep(3)
    browser.authorize(party)
    assert browser.interaction
    # The session itself belongs to all channels, and goes on.
    assert "code=" in browser.authorize(other).headers["location"]
    refused = browser.authorize(party, prompt="none", max_age="1000")
    assert "error=login_required" in refused.headers["location"]
    browser.sign_in(party, phone)
    assert "code=" in browser.authorize(party, prompt="none").headers["location"]


def test_no_client_asks_for_more_than_its_channel_may(
    browser: Browser, party: RelyingParty
) -> None:
    answer = browser.authorize(party, scope="openid email")
    assert "error=invalid_scope" in answer.headers["location"]
    otp_session = party.post("/otp", phone="+79990000093").json()["otp_session"]
    answer = party.token(
        grant_type="urn:x5id:oauth:grant-type:phone-otp",
        otp_session=otp_session,
        otp="000000",
        scope="openid email",
    )
    assert answer.json()["error"] == "invalid_scope"


@pytest.mark.parametrize(
    "asked",
    [
        None,
        '{"userinfo": {"name": null, "phone_number_verified": null}, "id_token": {"name": null}}',
    ],
)
def test_no_client_learns_more_than_its_channel_may(
    browser: Browser, party: RelyingParty, provider: Running, asked: str | None
) -> None:
    phone = new_phone()
    tokens = browser.tokens(party, phone, claims=asked)
    told = provider.userinfo(tokens["access_token"]).json()
    assert told == {
        "sub": claims_of(tokens["id_token"])["sub"],
        "given_name": "Анна",
        "phone_number": phone,
    }
    assert "name" not in claims_of(tokens["id_token"])


@pytest.mark.parametrize(
    ("locale", "words"),
    [
        ("ru", "Код {code} для «Булочная» на 127.0.0.1\n\n@127.0.0.1 #{code}"),
        ("en", "Bakery: your code is {code}. Do not share it.\n\n@127.0.0.1 #{code}"),
    ],
)
def test_a_message_has_the_channels_words_and_sender(
    browser: Browser, party: RelyingParty, provider: Running, locale: str, words: str
) -> None:
    phone = new_phone()
    browser.authorize(party, ui_locales=locale)
    browser.submit("phone", phone=phone)
    (message,) = provider.messages_for(phone)
    with provider.client() as client:
        page = client.get("/dev/inbox").text
    assert message["text"] == words.format(code=message["code"])
    assert message["sender"] == "Bakery"
    assert "<span>Bakery</span>" in page


def test_a_message_to_the_customer_of_an_android_app_ends_with_its_hash(
    browser: Browser, provider: Running
) -> None:
    phone = new_phone()
    browser.authorize(RelyingParty(provider, "bakery-app", APP_CALLBACK))
    browser.submit("phone", phone=phone)
    (message,) = provider.messages_for(phone)
    assert message["text"].endswith(f"\n\n@127.0.0.1 #{message['code']} FA+9qCX9VSu")


def test_a_message_of_a_channel_that_says_nothing_is_ours(
    browser: Browser, provider: Running
) -> None:
    phone = new_phone()
    browser.authorize(RelyingParty(provider), ui_locales="ru")
    browser.submit("phone", phone=phone)
    (message,) = provider.messages_for(phone)
    code = message["code"]
    assert message["text"] == f"Демомаркет: {code}. Никому не говорите\n\n@127.0.0.1 #{code}"
    assert message["sender"] is None


def test_the_pages_show_the_favicon_and_where_help_is(
    browser: Browser, party: RelyingParty, provider: Running
) -> None:
    browser.authorize(party)
    page = browser.get("phone").text
    assert '<link rel="icon" href="/channels/bakery/favicon.svg">' in page
    assert 'href="tel:+78005553535"' in page
    assert 'href="mailto:help@bakery.example.com"' in page
    assert 'href="https://bakery.example.com/help"' in page
    with provider.client() as client:
        drawings = [client.get(f"/channels/bakery/{name}.svg") for name in ("favicon", "logo")]
        absent = client.get("/channels/kvass/favicon.svg")
    assert drawings[0].text != drawings[1].text
    for drawing in drawings:
        assert drawing.headers["content-type"] == "image/svg+xml"
        assert "sandbox" in drawing.headers["content-security-policy"]
    assert absent.status_code == 404


def test_an_error_of_a_known_client_looks_like_its_channel_and_says_where_help_is(
    browser: Browser, party: RelyingParty
) -> None:
    page = browser.authorize(party, redirect_uri="https://elsewhere.example.com/")
    assert page.status_code == 400
    assert "Булочная" in page.text
    assert 'href="tel:+78005553535"' in page.text
    assert page.text.count("tel:") == 1
    nobody = browser.authorize(party, client_id="nobody")
    assert "tel:" not in nobody.text


@pytest.mark.parametrize("wish", [{"ui_locales": "en"}, {}])
def test_the_pages_speak_what_the_channel_offers(
    provider: Running, open_browser: OpenBrowser, wish: dict[str, str]
) -> None:
    browser = open_browser(provider)
    browser.http.headers["Accept-Language"] = "en"
    kvass = RelyingParty(provider, "kvass", CALLBACK, scope="openid")
    browser.authorize(kvass, **wish)
    assert '<html lang="ru">' in browser.get("phone").text
    page = browser.http.get("/logout", params={"client_id": "kvass"} | wish)
    assert '<html lang="ru">' in page.text
    browser.authorize(RelyingParty(provider, "bakery", CALLBACK), **wish)
    assert '<html lang="en">' in browser.get("phone").text


def test_apps_are_tied_to_the_host(provider: Running) -> None:
    with provider.client() as client:
        android = client.get("/.well-known/assetlinks.json")
        ios = client.get("/.well-known/apple-app-site-association")
    for answer in (android, ios):
        assert answer.status_code == 200  # and not by way of a redirect
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "public, max-age=3600"
    statement = {
        "relation": [
            "delegate_permission/common.handle_all_urls",
            "delegate_permission/common.get_login_creds",
        ],
        "target": {
            "namespace": "android_app",
            "package_name": "com.example.bakery",
            "sha256_cert_fingerprints": [FINGERPRINT],
        },
    }
    assert statement in android.json()
    app_id = "ABCDE12345.com.example.bakery"
    assert app_id in ios.json()["webcredentials"]["apps"]
    assert {"appIDs": [app_id], "components": [{"/": "/apps/bakery/*"}]} in (
        ios.json()["applinks"]["details"]
    )


def test_a_change_is_in_force_within_a_second_or_so() -> None:
    with run_provider(channels=CHANNELS) as provider, provider.client() as client:
        before = client.get("/.well-known/assetlinks.json").text
        path = provider.directory / "channels.toml"
        path.write_text(CHANNELS.replace("com.example.bakery", "com.example.moved"))
        entries = load_channels([path], secrets_directory=provider.directory / "secrets")
        apply_with_store(load(provider.directory / "idp.toml"), entries, by="tests", force=True)
        time.sleep(1.5)  # every worker looks for changes once a second
        after = client.get("/.well-known/assetlinks.json").text
    assert "com.example.bakery" in before
    assert "com.example.moved" in after
