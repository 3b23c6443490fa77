"""Who a customer is to a client: public and pairwise subjects (OpenID Connect Core 8)."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from conf.settings import load
from flows.client_registry import ClientRegistry
from idp.commands.operating import now, with_store
from storage.records import By
from tests.http.provider import (
    PHONE_OTP,
    TEST_CODE,
    Browser,
    OpenBrowser,
    RelyingParty,
    Running,
    claims_of,
    new_phone,
    new_test_number,
    parameters_of,
)
from tests.http.provider import provider as run_provider
from tests.http.registered import register

CHANNEL = """
[[channels]]
id = "pairwise"
name = "Partners"
locale = "en"

[channels.brand]
name = { ru = "Партнёры", en = "Partners" }
color = "#123456"
logo = "logos/demo.svg"
terms_uri = "https://partners.example.com/terms"
privacy_uri = "https://partners.example.com/privacy"
"""
CLIENT = """
[[channels.clients]]
client_id = "{0}"
secret = {{ file = "{0}" }}
redirect_uris = ["{1}"]
grant_types = ["authorization_code", "refresh_token"]
refresh_token_policy = "always"
{2}
"""
PAIRWISE = 'subject_type = "pairwise"\n'
SECTOR = PAIRWISE + 'sector_identifier_uri = "https://one.example/sector.json"\n'
BOT = """
[[channels.clients]]
client_id = "{0}"
secret = {{ file = "{0}" }}
grant_types = ["urn:x5id:oauth:grant-type:phone-otp"]
{1}
"""
REDIRECTS = {
    "one-shop": "https://one.example/callback",
    "one-club": "https://one.example:8443/club",
    "one-app": "https://app.example/callback",
    "two": "https://two.example/callback",
    "known": "https://known.example/callback",
}
CHANNELS = (
    CHANNEL
    + CLIENT.format("one-shop", REDIRECTS["one-shop"], PAIRWISE)
    + CLIENT.format("one-club", REDIRECTS["one-club"], PAIRWISE)
    + CLIENT.format("one-app", REDIRECTS["one-app"], SECTOR)
    + CLIENT.format("two", REDIRECTS["two"], PAIRWISE)
    + CLIENT.format("known", REDIRECTS["known"], "")
    + BOT.format("bot", PAIRWISE)
    + BOT.format("other-bot", PAIRWISE)
)


@pytest.fixture(scope="module")
def partners() -> Iterator[Running]:
    no_limit = "otp.sends_per_address = { burst = 1_000_000, period_seconds = 3600 }\n"
    with run_provider(channels=CHANNELS, toml=no_limit) as running:
        yield running


@pytest.fixture
def browser(partners: Running, open_browser: OpenBrowser) -> Browser:
    return open_browser(partners)


@pytest.fixture
def other_browser(partners: Running, open_browser: OpenBrowser) -> Browser:
    return open_browser(partners)


def party_of(running: Running, client_id: str) -> RelyingParty:
    return RelyingParty(running, client_id, REDIRECTS[client_id])


@pytest.fixture
def shop(partners: Running) -> RelyingParty:
    return party_of(partners, "one-shop")


def id_tokens(browser: Browser, phone: str) -> dict[str, str]:
    """The ID tokens that each client gets of one customer."""
    return {
        client_id: browser.tokens(party_of(browser.provider, client_id), phone)["id_token"]
        for client_id in REDIRECTS
    }


def errors(browser: Browser, party: RelyingParty, **changes: str | None) -> str | None:
    """The error that a request of a browser with a session has at once, if it has one."""
    response = browser.authorize(party, **changes)
    return None if browser.interaction else parameters_of(response).get("error")


# What clients are told


def test_discovery_names_both_types(partners: Running) -> None:
    with partners.client() as client:
        metadata = client.get("/.well-known/openid-configuration").json()

    assert metadata["subject_types_supported"] == ["public", "pairwise"]


@pytest.mark.parametrize("claim", ["sub", "sid"])
def test_clients_of_one_sector_know_a_customer_by_one_name_and_nobody_else_by_that(
    browser: Browser, claim: str
) -> None:
    names = {
        client_id: claims_of(token)[claim]
        for client_id, token in id_tokens(browser, new_phone()).items()
    }

    assert names["one-shop"] == names["one-club"] == names["one-app"]
    assert len({names["one-shop"], names["two"], names["known"]}) == 3


def test_customers_have_different_names(
    browser: Browser, other_browser: Browser, shop: RelyingParty
) -> None:
    tokens = [it.tokens(shop, new_phone()) for it in (browser, other_browser)]

    first, second = (claims_of(it["id_token"]) for it in tokens)
    assert first["sub"] != second["sub"]
    assert first["sid"] != second["sid"]


def test_whatever_a_client_is_given_says_the_same_name(
    browser: Browser, shop: RelyingParty
) -> None:
    tokens = browser.tokens(shop, new_phone())

    sub = claims_of(tokens["id_token"])["sub"]
    refreshed = shop.refresh(tokens["refresh_token"]).json()
    given = [claims_of(it["id_token"])["sub"] for it in (tokens, refreshed)]
    given += [claims_of(it["access_token"])["sub"] for it in (tokens, refreshed)]
    given += [
        browser.provider.userinfo(it["access_token"]).json()["sub"] for it in (tokens, refreshed)
    ]
    assert given == [sub] * 6


def test_nothing_that_a_client_is_given_is_the_same_for_another_sector(browser: Browser) -> None:
    phone, given = new_phone(), []
    for client_id in ("one-shop", "two", "known"):
        party = party_of(browser.provider, client_id)
        tokens = browser.tokens(party, phone, scope="openid")
        userinfo = browser.provider.userinfo(tokens["access_token"]).json()
        documents = (claims_of(tokens["id_token"]), claims_of(tokens["access_token"]), userinfo)
        told = {value for it in documents for value in it.values() if isinstance(value, str)}
        given.append(told - {browser.provider.issuer, "openid", "urn:x5id:acr:phone-otp"})

    assert not given[0] & given[1]
    assert not given[0] & given[2]


def test_a_bot_that_redirects_nobody_is_a_sector_of_its_own(partners: Running) -> None:
    phone = new_test_number()

    def sub(client_id: str) -> str:
        bot = RelyingParty(partners, client_id)
        session = bot.post("/otp", phone=phone).json()["otp_session"]
        answer = bot.token(
            grant_type=PHONE_OTP, otp_session=session, otp=TEST_CODE, scope="openid"
        ).json()
        return str(claims_of(answer["id_token"])["sub"])

    assert sub("bot") == sub("bot")
    assert sub("bot") != sub("other-bot")


# What clients may ask by


def asking(sub: str) -> str:
    return json.dumps({"id_token": {"sub": {"value": sub}}})


def hinting(token: str) -> dict[str, str]:
    return {"id_token_hint": token}


def naming(token: str) -> dict[str, str]:
    return {"claims": asking(claims_of(token)["sub"])}


by_hint_or_claim = pytest.mark.parametrize("by", [hinting, naming])


@by_hint_or_claim
@pytest.mark.parametrize("client_id", ["one-shop", "one-club"])
def test_the_name_of_the_customer_who_is_here_is_answered_silently(
    browser: Browser, partners: Running, by: Any, client_id: str
) -> None:
    token = browser.tokens(party_of(partners, "one-shop"), new_phone())["id_token"]

    answer = browser.authorize(party_of(partners, client_id), prompt="none", **by(token))

    assert "code" in parameters_of(answer)


@by_hint_or_claim
def test_only_the_customer_who_is_named_can_answer(
    browser: Browser, other_browser: Browser, shop: RelyingParty, by: Any
) -> None:
    named = new_phone()
    token = other_browser.tokens(shop, named)["id_token"]
    browser.sign_in(shop, new_phone())

    assert errors(browser, shop, prompt="none", **by(token)) == "login_required"
    assert errors(browser, shop, **by(token)) is None
    assert browser.sign_in(shop, new_phone(), **by(token))["error"] == "login_required"
    code = browser.sign_in(shop, named, **by(token))["code"]
    assert claims_of(shop.redeem(code).json()["id_token"])["sub"] == claims_of(token)["sub"]


@by_hint_or_claim
@pytest.mark.parametrize("other", ["two", "known"])
def test_the_name_of_another_sector_tells_nothing_about_who_is_here(
    browser: Browser, shop: RelyingParty, by: Any, other: str
) -> None:
    tokens = id_tokens(browser, new_phone())

    assert errors(browser, shop, prompt="none", **by(tokens[other])) == "login_required"
    # Nobody can be the one: to ask for a phone first would be in vain.
    assert errors(browser, shop, **by(tokens[other])) == "login_required"
    known = party_of(browser.provider, "known")
    assert errors(browser, known, prompt="none", **by(tokens["two"])) == "login_required"


@pytest.mark.parametrize("sub", ["", "A", "A" * 51, "имя", "\x00", "A" * 3_000, "../x", "===="])
def test_a_name_that_was_made_up_is_nobodys(browser: Browser, shop: RelyingParty, sub: str) -> None:
    assert errors(browser, shop, claims=asking(sub)) == "login_required"


def test_hint_and_claim_may_not_contradict_each_other(
    browser: Browser, other_browser: Browser, shop: RelyingParty
) -> None:
    one, other = (it.tokens(shop, new_phone())["id_token"] for it in (browser, other_browser))

    assert errors(browser, shop, **hinting(one), **naming(other)) == "invalid_request"


# Signing out


def test_a_hint_signs_its_own_session_out_without_a_question(
    browser: Browser, shop: RelyingParty
) -> None:
    token = browser.tokens(shop, new_phone())["id_token"]

    assert browser.http.get("/logout", params={"id_token_hint": token}).status_code == 200
    assert errors(browser, shop, prompt="none") == "login_required"


def test_the_hint_of_another_session_asks_first(
    browser: Browser, other_browser: Browser, shop: RelyingParty
) -> None:
    token = other_browser.tokens(shop, new_phone())["id_token"]
    browser.sign_in(shop, new_phone())

    browser.http.get("/logout", params={"id_token_hint": token})

    assert errors(browser, shop, prompt="none") is None
    assert errors(other_browser, shop, prompt="none") is None


def test_a_hint_from_elsewhere_signs_its_client_out_alone(
    browser: Browser, other_browser: Browser, shop: RelyingParty, partners: Running
) -> None:
    phone, two = new_phone(), party_of(partners, "two")
    tokens, others = browser.tokens(shop, phone), browser.tokens(two, phone)

    other_browser.http.get("/logout", params={"id_token_hint": tokens["id_token"]})

    assert shop.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert two.refresh(others["refresh_token"]).status_code == 200


# Registering anew


def test_a_client_that_is_registered_anew_meets_no_strangers(
    partners: Running, browser: Browser, other_browser: Browser
) -> None:
    def sub(browser: Browser, client_id: str) -> str:
        """The customer, to a client that is there for this sign-in alone."""
        uri = f"https://anew.example/{client_id}"
        secret = register(partners, client_id, redirect_uris=[uri], subject_type="pairwise")
        assert secret is not None
        (partners.directory / "secrets" / client_id).write_text(secret, encoding="ascii")
        tokens = browser.tokens(RelyingParty(partners, client_id, uri), phone, scope="openid")
        with_store(
            load(partners.directory / "idp.toml"),
            lambda store: ClientRegistry(store, by=By("tests"), now=now()).delete(client_id),
        )
        return str(claims_of(tokens["id_token"])["sub"])

    phone = new_phone()
    assert sub(browser, "anew-1") == sub(other_browser, "anew-2")
