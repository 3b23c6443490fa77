"""A client's registration changes while its customers are on the way."""

import time
from collections.abc import Iterator

import pytest

from conf.channels_file import load_channels
from conf.settings import load
from idp.channels import apply_with_store
from tests.http.provider import Browser, RelyingParty, Running, new_phone
from tests.http.provider import provider as run_provider

CALLBACK = "http://localhost:8001/old"
CHANNELS = """
[[channels]]
id = "moving"
name = "Moving"
locale = "en"

[channels.brand]
name = { ru = "Переезд", en = "Moving" }
color = "#123456"
logo = "logos/demo.svg"
terms_uri = "https://moving.example.com/terms"
privacy_uri = "https://moving.example.com/privacy"

[[channels.clients]]
client_id = "moving"
client_name = "Moving"
secret = { file = "moving" }
redirect_uris = ["http://localhost:8001/old", "http://localhost:8001/new"]
grant_types = ["authorization_code"]
"""


@pytest.fixture
def moving() -> Iterator[Running]:
    with run_provider(channels=CHANNELS) as running:
        yield running


def change(running: Running, old: str, new: str) -> None:
    path = running.directory / "channels.toml"
    assert old in CHANNELS
    path.write_text(CHANNELS.replace(old, new), encoding="utf-8")
    entries = load_channels([path], secrets_directory=running.directory / "secrets")
    apply_with_store(load(running.directory / "idp.toml"), entries, by="tests", force=True)
    time.sleep(1.5)  # every worker looks for changes once a second


def test_nobody_is_sent_to_an_address_that_was_withdrawn(moving: Running) -> None:
    browser, party = Browser(moving), RelyingParty(moving, "moving", CALLBACK)
    browser.authorize(party)
    csrf_page = browser.get("phone")
    change(moving, f'"{CALLBACK}", ', "")
    token = csrf_page.text.split('name="csrf" value="')[1].split('"')[0]
    for page, fields in (("phone", {"phone": new_phone()}), ("cancel", {})):
        answer = browser.http.post(f"{browser.interaction}/{page}", data={"csrf": token} | fields)
        assert answer.status_code == 400
        assert "location" not in answer.headers
    for page in ("phone", "code"):
        assert browser.get(page).status_code == 400
    assert browser.authorize(party).status_code == 400
    browser.http.close()


def test_the_access_token_of_a_client_that_is_no_longer_registered_opens_nothing(
    moving: Running,
) -> None:
    browser, party = Browser(moving), RelyingParty(moving, "moving", CALLBACK)
    access_token = browser.tokens(party, new_phone())["access_token"]
    browser.http.close()
    assert moving.userinfo(access_token).status_code == 200
    change(moving, 'client_id = "moving"', 'client_id = "moved"')
    refused = moving.userinfo(access_token)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")
