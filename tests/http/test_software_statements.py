"""Software statements over HTTP (RFC 7591 2.3): clients of which somebody trusted has signed."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from keys.signing import SigningKey
from tests.http.assertions import mac, signed
from tests.http.provider import DEMO_CALLBACK, Browser, OpenBrowser, Running, new_phone
from tests.http.provider import provider as run_provider
from tests.http.registering import (
    CALLBACK,
    METADATA,
    Registration,
    initial_access_token,
    post,
)

ISSUER = "https://directory.example"
KEY, OTHER_KEY = SigningKey.generate("ES256"), SigningKey.generate("ES256")
SIGNED = {"client_name": "Corner Shop Ltd", "redirect_uris": [CALLBACK]}


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A provider that trusts the statements of an issuer, and of another one with another key."""
    place = tmp_path_factory.mktemp("issuers")
    toml = "[registration]\nsoftware_statement_issuers = [\n"
    for name, issuer, key in (("a", ISSUER, KEY), ("b", "https://b.example", OTHER_KEY)):
        (place / name).write_text(json.dumps({"keys": [dict(key.public_jwk)]}))
        toml += f'  {{ issuer = "{issuer}", jwks_file = "{place / name}" }},\n'
    with run_provider(toml=f"{toml}]\n") as running:
        yield running


def statement(*, by: SigningKey = KEY, header: dict[str, Any] | None = None, **claims: Any) -> str:
    members = {"iss": ISSUER, "iat": int(time.time()), **SIGNED, **claims}
    return signed(
        {name: it for name, it in members.items() if it is not None}, key=by, **(header or {})
    )


def refused(running: Running, text: object) -> str:
    response = post(running, {**METADATA, "software_statement": text})
    assert response.status_code == 400, response.text
    assert response.json().keys() == {"error", "error_description"}
    return str(response.json()["error"])


def test_what_is_signed_takes_precedence_in_every_language(trusting: Running) -> None:
    text = statement(software_id="shop-1")
    answer = Registration.made(
        trusting,
        client_name="A bank",
        **{"client_name#ru": "Банк"},
        client_uri="https://partner.example/",
        software_statement=text,
    ).information
    assert answer["client_name"] == SIGNED["client_name"]
    assert "client_name#ru" not in answer
    assert answer["client_uri"] == "https://partner.example/"
    assert answer["software_id"] == "shop-1"
    assert answer["software_statement"] == text
    # What is about the statement is not about the client.
    assert not answer.keys() & {"iss", "iat", "exp", "aud"}


def test_what_is_signed_is_validated_as_all_metadata_are(trusting: Running) -> None:
    assert refused(trusting, statement(redirect_uris=["http://a.example/"])) == (
        "invalid_redirect_uri"
    )
    assert refused(trusting, statement(refresh_token_policy="always")) == "invalid_client_metadata"


def test_what_is_signed_stays_within_the_policy(trusting: Running) -> None:
    token = initial_access_token(trusting)
    elsewhere = statement(redirect_uris=["https://elsewhere.example/"])
    response = post(trusting, {**METADATA, "software_statement": elsewhere}, token)
    assert response.json()["error"] == "invalid_redirect_uri"


@pytest.mark.parametrize("text", ["", "a.b.c", "e30.e30.", 7, ["a"], {}])
def test_what_is_no_jwt_is_refused(trusting: Running, text: object) -> None:
    expected = "invalid_software_statement" if isinstance(text, str) else "invalid_client_metadata"
    assert refused(trusting, text) == expected


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": int(time.time()) - 60},
        {"iat": int(time.time()) + 86_400},
        {"nbf": int(time.time()) + 86_400},
        {"aud": "https://other.example"},
        {"aud": []},
        {"exp": "tomorrow"},
        {"iss": 7},
        {"iss": None},
    ],
)
def test_a_statement_that_is_not_good_here_and_now_is_refused(
    trusting: Running, claims: dict[str, Any]
) -> None:
    assert refused(trusting, statement(**claims)) == "invalid_software_statement"


def test_one_for_us_is_accepted(trusting: Running) -> None:
    text = statement(aud=[trusting.issuer, "https://other.example"], exp=int(time.time()) + 60)
    Registration.made(trusting, software_statement=text)


@pytest.mark.parametrize(
    "forged",
    [
        statement(by=OTHER_KEY),
        statement(by=OTHER_KEY, header={"kid": KEY.kid}),
        statement(header={"alg": "none"}),
        statement(header={"alg": "HS256"}),
        statement(header={"alg": "RS256"}),
        statement(header={"jwk": dict(OTHER_KEY.public_jwk), "kid": None}, by=OTHER_KEY),
        statement(header={"crit": ["exp"]}),
        statement(header={"typ": "at+jwt"}),
        statement().rpartition(".")[0] + ".",
        mac({"iss": ISSUER, **SIGNED}, json.dumps(dict(KEY.public_jwk))),
    ],
)
def test_a_forged_statement_is_refused(trusting: Running, forged: str) -> None:
    assert refused(trusting, forged) == "invalid_software_statement"


def test_a_statement_of_somebody_else_is_not_approved(trusting: Running, provider: Running) -> None:
    unknown = "unapproved_software_statement"
    assert refused(trusting, statement(iss="https://other.example")) == unknown
    assert refused(trusting, statement(iss=ISSUER + "/")) == unknown
    # Nobody is trusted where none is configured.
    assert refused(provider, statement()) == unknown


def test_one_issuer_cannot_speak_for_another(trusting: Running) -> None:
    forged = statement(by=OTHER_KEY, iss=ISSUER)
    assert refused(trusting, forged) == "invalid_software_statement"
    Registration.made(trusting, software_statement=statement(by=OTHER_KEY, iss="https://b.example"))


# Updates


def test_a_statement_that_has_expired_since_may_be_sent_back(trusting: Running) -> None:
    text = statement(exp=int(time.time()) - 28)  # good for two seconds, with our patience
    client = Registration.made(trusting, software_statement=text)
    time.sleep(3)
    assert refused(trusting, text) == "invalid_software_statement"
    answer = client.update(client_name="A bank", software_statement=text).json()
    assert answer["client_name"] == SIGNED["client_name"]
    assert answer["software_statement"] == text


def is_marked_unverified(browser: Browser, client: Registration) -> bool:
    browser.http.cookies.clear()
    browser.authorize(client.party())
    browser.prove(new_phone())
    browser.submit("profile", given_name="Анна", terms="accepted")
    return 'class="problem"' in browser.get("consent").text


def test_a_client_is_verified_while_its_name_and_redirect_uris_are_signed(
    trusting: Running, open_browser: OpenBrowser
) -> None:
    browser = open_browser(trusting)
    text = statement(redirect_uris=[DEMO_CALLBACK])
    client = Registration.made(trusting, software_statement=text)
    assert not is_marked_unverified(browser, client)

    answer = client.update(
        redirect_uris=[DEMO_CALLBACK], client_secret=client.information["client_secret"]
    ).json()
    assert "software_statement" not in answer
    time.sleep(1.5)  # every worker looks for changes once a second
    assert is_marked_unverified(browser, client)


@pytest.mark.parametrize("missing", ["client_name", "redirect_uris"])
def test_a_statement_that_vouches_for_less_verifies_nobody(
    trusting: Running, open_browser: OpenBrowser, missing: str
) -> None:
    vouched: dict[str, Any] = {"redirect_uris": [DEMO_CALLBACK], missing: None}
    text = statement(**vouched)
    client = Registration.made(trusting, software_statement=text, redirect_uris=[DEMO_CALLBACK])
    assert is_marked_unverified(open_browser(trusting), client)
