"""What a client registers for all its authorization requests (OpenID Connect Registration 2)."""

import time
from collections.abc import Iterator

import pytest

from tests.http.provider import (
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    new_phone,
    parameters_of,
)
from tests.http.provider import provider as run_provider

CALLBACK = "https://careful.example/callback"
CHANNELS = f"""
[[channels]]
id = "careful"
name = "Careful"
locale = "en"

[channels.brand]
name = {{ ru = "Осторожные", en = "Careful" }}
color = "#123456"
logo = "logos/demo.svg"
terms_uri = "https://careful.example/terms"
privacy_uri = "https://careful.example/privacy"

[[channels.clients]]
client_id = "careful"
secret = {{ file = "careful" }}
redirect_uris = ["{CALLBACK}"]
default_max_age = 2
require_auth_time = true
default_acr_values = ["gold", "platinum"]
"""


@pytest.fixture(scope="module")
def careful() -> Iterator[Running]:
    with run_provider(channels=CHANNELS) as running:
        yield running


@pytest.fixture
def browser(careful: Running, open_browser: OpenBrowser) -> Browser:
    return open_browser(careful)


@pytest.fixture
def party(careful: Running) -> RelyingParty:
    return RelyingParty(careful, "careful", CALLBACK)


def test_default_max_age_asks_once_the_sign_in_is_too_old(
    browser: Browser, party: RelyingParty
) -> None:
    browser.sign_in(party, new_phone())
    time.sleep(2.1)

    browser.authorize(party)

    assert browser.interaction
    refused = parameters_of(browser.authorize(party, prompt="none"))
    assert refused["error"] == "login_required"


def test_the_requests_own_max_age_takes_its_place(browser: Browser, party: RelyingParty) -> None:
    browser.sign_in(party, new_phone())
    time.sleep(2.1)

    assert "code" in parameters_of(browser.authorize(party, prompt="none", max_age="3600"))
    browser.authorize(party, max_age="0")
    assert browser.interaction


def test_default_acr_values_are_a_wish(browser: Browser, party: RelyingParty) -> None:
    id_token = claims_of(browser.tokens(party, new_phone())["id_token"])

    assert id_token["acr"] == "urn:x5id:acr:phone-otp"


def test_auth_time_is_there_as_it_is_required(browser: Browser, party: RelyingParty) -> None:
    id_token = claims_of(browser.tokens(party, new_phone())["id_token"])

    assert isinstance(id_token["auth_time"], int)
    assert id_token["auth_time"] <= id_token["iat"]
