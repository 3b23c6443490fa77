"""OAuth 2.0 for First-Party Applications: an app of the group asks for phone and code itself."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from authlib.integrations.httpx_client import OAuth2Client

from conf.settings import load
from idp.commands.operating import now, with_store
from keys.hashing import b64url, random_id, sha256
from storage.records import By
from storage.store import Store
from tests.http.partner import partner
from tests.http.provider import (
    TEST_CODE,
    Browser,
    RelyingParty,
    Running,
    claims_of,
    new_phone,
    new_test_number,
)
from tests.http.provider import provider as run_provider
from tests.http.registered import register
from tests.http.test_proof_of_work import BAD_PROOF, solved

PATH = "/authorize-challenge"
NAME = {"given_name": "Анна", "terms_accepted": "true"}
NATIVE: dict[str, Any] = {
    "application_type": "native",
    "redirect_uris": ["com.example.another:/callback"],
}
APP = NATIVE | {"token_endpoint_auth_method": "none"}
OWN = APP | {"first_party_native": True}


@dataclass
class App:
    """An app, and the auth session that it was given last."""

    party: RelyingParty
    auth_session: str = ""
    secret: str = ""

    @property
    def provider(self) -> Running:
        return self.party.provider

    def begin(self, **changes: str | None) -> httpx2.Response:
        """The initial request: that of the authorization endpoint, without a redirect URI."""
        return self.send(**self.party.request(**({"redirect_uri": None, "state": None} | changes)))

    def step(self, **parameters: str) -> httpx2.Response:
        """What the customer has typed in."""
        return self.send(
            client_id=self.party.client_id, auth_session=self.auth_session, **parameters
        )

    def send(self, **parameters: str) -> httpx2.Response:
        with self.provider.client() as client:
            if self.secret:
                client.auth = (self.party.client_id, self.secret)
            answer = client.post(PATH, data=parameters)
        self.auth_session = answer.json().get("auth_session", self.auth_session)
        return answer

    def prove(self, phone: str) -> httpx2.Response:
        """Begin with a phone, and enter the code that was sent to it."""
        self.begin(phone=phone)
        test_number = phone.startswith("+7999000")
        return self.step(otp=TEST_CODE if test_number else self.provider.code_for(phone))

    def sign_in(self, phone: str) -> str:
        """The whole way to an authorization code."""
        answer = self.prove(phone)
        if answer.json().get("profile_required"):
            answer = self.step(**NAME)
        return code_in(answer)

    def redeem(self, code: str, **changes: str) -> httpx2.Response:
        with self.provider.client() as client:
            form = {
                "grant_type": "authorization_code",
                "client_id": self.party.client_id,
                "code": code,
                "code_verifier": self.party.verifier,
            }
            return client.post("/token", data=form | changes)


def code_in(answer: httpx2.Response) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"authorization_code", "device"}
    return str(answer.json()["authorization_code"])


def asked(answer: httpx2.Response) -> dict[str, Any]:
    """What the app has to bring next, without the auth session."""
    members: dict[str, Any] = answer.json()
    assert answer.status_code == 403, answer.text
    assert members.pop("error") == "insufficient_authorization"
    assert members.pop("auth_session")
    members.pop("error_description", None)
    return members


def error_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


INVALID_SESSION = (400, "invalid_session")


def wrong_codes(app: App, phone: str, number: int) -> list[str]:
    right = app.provider.code_for(phone)
    return [code for code in (f"{it:06}" for it in range(number + 1)) if code != right][:number]


def messages(app: App, phone: str) -> list[dict[str, str]]:
    return app.provider.messages_for(phone)


@pytest.fixture
def app(provider: Running) -> App:
    return App(RelyingParty(provider, "demo-native"))


# A sign-in


def test_a_new_customer_signs_in_without_a_browser(app: App) -> None:
    phone = new_phone()
    begun = app.begin(phone=phone)
    assert begun.headers["cache-control"] == "no-store"
    assert begun.headers["content-type"] == "application/json"
    assert asked(begun) == {
        "otp_required": True,
        "otp_delivery": "sms",
        "otp_expires_in": 180,
        "resend_after": 30,
    }
    assert asked(app.step(otp=app.provider.code_for(phone))) == {"profile_required": True}
    code = code_in(app.step(**NAME, family_name="Смирнова"))

    with OAuth2Client(
        "demo-native", token_endpoint_auth_method="none", trust_env=False
    ) as relying_party:
        tokens = relying_party.fetch_token(
            f"{app.provider.issuer}/token", code=code, code_verifier=app.party.verifier
        )

    claims = claims_of(tokens["id_token"])
    assert (claims["aud"], claims["nonce"]) == ("demo-native", app.party.nonce)
    assert (claims["acr"], claims["amr"]) == ("urn:x5id:acr:phone-otp", ["otp", "sms"])
    userinfo = app.provider.userinfo(tokens["access_token"]).json()
    assert (userinfo["name"], userinfo["phone_number"]) == ("Анна Смирнова", phone)
    assert tokens["refresh_token"]


def test_a_known_customer_gives_no_name_and_gets_another_session(app: App) -> None:
    phone = new_phone()
    first = claims_of(app.redeem(app.sign_in(phone)).json()["id_token"])
    second = claims_of(app.redeem(code_in(app.prove(phone))).json()["id_token"])
    assert first["sub"] == second["sub"]
    assert first["sid"] != second["sid"]


def test_the_phone_may_come_later(app: App) -> None:
    assert asked(app.begin()) == {"phone_required": True}
    phone = new_phone()
    assert asked(app.step(phone=phone))["otp_required"]
    assert len(messages(app, phone)) == 1


def test_the_phone_may_come_as_the_hint(app: App) -> None:
    phone = new_phone()
    assert asked(app.begin(login_hint=phone))["otp_required"]
    assert len(messages(app, phone)) == 1


def test_a_test_number_has_its_own_code_and_no_message(app: App) -> None:
    phone = new_test_number()
    for _ in range(7):  # nor a limit
        app.sign_in(phone)
    assert messages(app, phone) == []


def test_its_tokens_are_refreshed_and_end_with_its_session(app: App) -> None:
    tokens = app.redeem(app.sign_in(new_phone())).json()
    form = {"grant_type": "refresh_token", "client_id": "demo-native"}
    with app.provider.client() as client:
        refreshed = client.post(
            "/token", data=form | {"refresh_token": tokens["refresh_token"]}
        ).json()
        client.get("/logout", params={"id_token_hint": tokens["id_token"]})
        ended = client.post("/token", data=form | {"refresh_token": refreshed["refresh_token"]})
    assert error_of(ended) == (400, "invalid_grant")


def test_the_message_is_in_the_language_of_the_request(app: App) -> None:
    phone, other = new_phone(), new_phone()
    app.begin(phone=phone, ui_locales="en")
    app.begin(phone=other, ui_locales="ru")
    assert "your code is" in messages(app, phone)[0]["text"]
    assert "Никому не говорите" in messages(app, other)[0]["text"]


# The code at the token endpoint


@pytest.mark.parametrize("changes", [{"code_verifier": "a" * 43}, {"code_verifier": ""}])
def test_pkce_protects_the_code(app: App, changes: dict[str, str]) -> None:
    code = app.sign_in(new_test_number())
    assert error_of(app.redeem(code, **changes)) == (400, "invalid_grant")
    assert app.redeem(code).status_code == 200


def test_a_redirect_uri_that_a_library_insists_on_does_no_harm(app: App) -> None:
    code = app.sign_in(new_test_number())
    assert app.redeem(code, redirect_uri="com.example.demo:/callback").status_code == 200


def test_a_code_of_the_pages_is_still_bound_to_its_redirect_uri(app: App, browser: Browser) -> None:
    app.party.redirect_uri = "http://127.0.0.1:5000/callback"
    code = browser.sign_in(app.party, new_test_number())["code"]
    assert error_of(app.redeem(code)) == (400, "invalid_grant")
    assert app.redeem(code, redirect_uri=app.party.redirect_uri).status_code == 200


def test_a_replayed_code_ends_what_the_first_use_gave(app: App) -> None:
    code = app.sign_in(new_test_number())
    tokens = app.redeem(code).json()
    assert error_of(app.redeem(code)) == (400, "invalid_grant")
    assert app.provider.userinfo(tokens["access_token"]).status_code == 401


def test_another_app_cannot_redeem_it(app: App) -> None:
    register(app.provider, "another-app", **OWN)
    code = app.sign_in(new_test_number())
    assert error_of(app.redeem(code, client_id="another-app")) == (400, "invalid_grant")


# The initial request


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, (400, "invalid_request")),
        ({"response_type": "token"}, (400, "unsupported_response_type")),
        ({"scope": None}, (400, "invalid_request")),
        ({"scope": "profile"}, (400, "invalid_scope")),
        ({"scope": "openid \u00a0"}, (400, "invalid_scope")),
        ({"code_challenge": None}, (400, "invalid_request")),
        ({"code_challenge": "short"}, (400, "invalid_request")),
        ({"code_challenge_method": None}, (400, "invalid_request")),
        ({"code_challenge_method": "plain"}, (400, "invalid_request")),
        ({"request": "e30.e30."}, (400, "request_not_supported")),
        ({"request_uri": "urn:x"}, (400, "request_uri_not_supported")),
        ({"claims": "{"}, (400, "invalid_request")),
        ({"id_token_hint": "nonsense"}, (400, "invalid_request")),
        ({"prompt": "none"}, (400, "login_required")),
        ({"prompt": "consent"}, (403, "redirect_to_web")),
        ({"client_id": None}, (401, "invalid_client")),
        ({"client_id": "nobody"}, (401, "invalid_client")),
    ],
)
def test_a_wrong_request_sends_no_message(
    app: App, changes: dict[str, str | None], error: tuple[int, str]
) -> None:
    phone = new_phone()
    answer = app.begin(phone=phone, **changes)
    assert error_of(answer) == error
    assert answer.json().keys() <= {"error", "error_description"}
    assert messages(app, phone) == []


def test_a_repeated_parameter_is_refused(app: App) -> None:
    with app.provider.client() as client:
        pairs = [*app.party.request().items(), ("phone", new_phone()), ("phone", new_phone())]
        answer = client.post(PATH, data=dict(pairs) | {"phone": ["+79160000001", "+79160000002"]})
    assert error_of(answer) == (400, "invalid_request")


@pytest.mark.parametrize("phone", ["nobody", "112", "+7916", "9" * 30])
def test_what_is_no_phone_is_asked_for_again(app: App, phone: str) -> None:
    for answer in (app.begin(phone=phone), app.step(phone=phone)):
        assert asked(answer) == {"phone_required": True}
        assert answer.json()["error_description"]


def test_somebody_else_than_the_hint_names_is_no_success(app: App) -> None:
    tokens = app.redeem(app.sign_in(new_test_number())).json()
    phone, other = new_test_number(), new_test_number()
    app.sign_in(other)
    for number in (phone, other):
        app.begin(phone=number, id_token_hint=tokens["id_token"])
        assert error_of(app.step(otp=TEST_CODE)) == (400, "login_required")


# Who may


@pytest.mark.parametrize("client_id", ["demo", "demo-bot", "demo-rs256"])
def test_a_client_that_is_not_marked_is_refused(provider: Running, client_id: str) -> None:
    party = RelyingParty(provider, client_id)
    answer = party.post(PATH, **party.request(phone=new_phone()))
    assert error_of(answer) == (400, "unauthorized_client")


def test_an_app_that_is_not_marked_is_refused(provider: Running) -> None:
    register(provider, "unmarked-app", **APP)
    app = App(RelyingParty(provider, "unmarked-app"))
    assert error_of(app.begin(phone=new_phone())) == (400, "unauthorized_client")


def test_a_partner_is_refused_even_if_it_were_marked(provider: Running) -> None:
    stranger = partner(
        provider,
        "com.example.corner:/callback",
        application_type="native",
        first_party_native=True,
    )
    answer = stranger.post(PATH, **stranger.request(phone=new_phone()))
    assert error_of(answer) == (400, "unauthorized_client")


def test_who_has_a_secret_must_show_it_at_every_step(provider: Running) -> None:
    secret = register(provider, "safe-app", **NATIVE, first_party_native=True)
    assert secret
    app = App(RelyingParty(provider, "safe-app"), secret=secret)
    assert asked(app.begin(phone=new_test_number(), client_id=None))["otp_required"]
    app.secret = ""
    assert error_of(app.step(otp=TEST_CODE)) == (401, "invalid_client")
    unnamed = app.send(auth_session=app.auth_session, otp=TEST_CODE)
    assert error_of(unnamed) == (401, "invalid_client")
    app.secret = secret
    unnamed = app.send(auth_session=app.auth_session, otp=TEST_CODE)
    assert asked(unnamed) == {"profile_required": True}


# Auth sessions


def test_the_client_id_may_be_left_out_with_an_auth_session(app: App) -> None:
    phone = new_phone()
    app.begin(phone=phone)
    code = app.provider.code_for(phone)
    unnamed = app.send(auth_session=app.auth_session, otp=code)
    assert asked(unnamed) == {"profile_required": True}


@pytest.mark.parametrize(
    "what", ["x", "A" * 43, "A" * 10_000, "\u0442\u043e\u043a\u0435\u043d", '"}']
)
@pytest.mark.parametrize("client_id", [{}, {"client_id": "demo-native"}])
def test_a_made_up_auth_session_is_invalid(app: App, what: str, client_id: dict[str, str]) -> None:
    for step in ({}, {"otp": "123456"}, {"otp": "x"}, {"phone": new_phone()}, {"phone": "x"}, NAME):
        answer = app.send(auth_session=what, **client_id, **step)
        assert error_of(answer) == INVALID_SESSION
        assert "auth_session" not in answer.json()


def test_another_clients_auth_session_is_invalid_and_nothing_of_it_is_spent(app: App) -> None:
    register(app.provider, "thieving-app", **OWN)
    phone = new_phone()
    app.begin(phone=phone)
    code = app.provider.code_for(phone)
    thief = App(RelyingParty(app.provider, "thieving-app"), app.auth_session)
    for step in ({}, *({"otp": it} for it in wrong_codes(app, phone, 6)), {"otp": code}, NAME):
        assert error_of(thief.step(**step)) == INVALID_SESSION
    assert error_of(thief.step(phone=new_phone())) == INVALID_SESSION
    assert asked(app.step())["tries_left"] == 5
    assert asked(app.step(otp=code)) == {"profile_required": True}


def test_a_browser_and_an_app_cannot_go_on_with_each_others_login(
    app: App, browser: Browser
) -> None:
    app.begin(phone=new_phone())
    interaction_id = b64url(sha256(app.auth_session)[:16])
    cookie = {"Cookie": f"interaction-{interaction_id}={app.auth_session}"}
    for page in ("phone", "code", "profile"):
        assert browser.http.get(f"/interaction/{interaction_id}/{page}", headers=cookie).is_error
    browser.authorize(RelyingParty(app.provider, "demo-native", "http://127.0.0.1:5/callback"))
    for secret in browser.http.cookies.values():
        assert error_of(App(app.party, secret).step(phone=new_phone())) == INVALID_SESSION


def test_only_its_hash_is_in_the_store_and_nothing_of_it_in_the_log(app: App) -> None:
    app.sign_in(new_test_number())
    files = [it for it in app.provider.directory.rglob("*") if it.is_file()]
    assert not any(app.auth_session.encode() in it.read_bytes() for it in files)
    assert app.auth_session not in app.provider.server.output


def test_an_auth_session_is_not_good_for_ever(hasty: Running) -> None:
    app = App(RelyingParty(hasty, "demo-native"))
    app.begin(phone=new_test_number())
    time.sleep(4.1)
    for step in ({}, {"otp": TEST_CODE}, {"phone": new_phone()}):
        assert error_of(app.step(**step)) == INVALID_SESSION


def test_an_auth_session_alone_asks_what_is_next(app: App) -> None:
    phone = new_phone()
    app.begin()
    assert asked(app.step()) == {"phone_required": True}
    app.step(phone=phone)
    next_step = {"otp_required", "otp_delivery", "tries_left", "resend_after"}
    assert asked(app.step()).keys() == next_step
    app.step(otp=app.provider.code_for(phone))
    assert asked(app.step()) == {"profile_required": True}
    app.step(**NAME)
    assert error_of(app.step()) == INVALID_SESSION


def test_the_last_step_may_be_repeated_until_its_code_is_used(app: App) -> None:
    phone = new_phone()
    code = app.sign_in(phone)
    assert code_in(app.step(**NAME)) == code
    app.begin(phone=phone)
    otp = app.provider.code_for(phone)
    code = code_in(app.step(otp=otp))
    assert code_in(app.step(otp=otp)) == code
    assert app.redeem(code).status_code == 200
    assert error_of(app.step(otp=otp)) == INVALID_SESSION
    assert app.redeem(code).status_code == 400


# Codes


def test_each_wrong_code_costs_a_try_and_the_last_one_all(app: App) -> None:
    phone = new_phone()
    app.begin(phone=phone)
    answers = [asked(app.step(otp=it)) for it in wrong_codes(app, phone, 6)]
    assert [it["tries_left"] for it in answers] == [4, 3, 2, 1, 0, 0]
    assert [next(iter(it)) for it in answers] == ["otp_required"] * 4 + ["phone_required"] * 2
    assert asked(app.step(otp=app.provider.code_for(phone)))["tries_left"] == 0
    assert asked(app.step()) == {"phone_required": True}
    # The phone again is another code, as on the pages.
    assert asked(app.step(phone=phone))["otp_required"]
    assert asked(app.step(otp=app.provider.code_for(phone))) == {"profile_required": True}


@pytest.mark.parametrize("otp", ["12345", "1234567", "12345a", "١٢٣٤٥٦"])
def test_what_cannot_be_a_code_costs_no_try(app: App, otp: str) -> None:
    app.begin(phone=new_phone())
    assert asked(app.step(otp=otp))["tries_left"] == 5


def test_a_code_is_not_good_for_long(hasty: Running) -> None:
    app, phone = App(RelyingParty(hasty, "demo-native")), new_phone()
    app.begin(phone=phone)
    time.sleep(2.1)
    answer = app.step(otp=hasty.code_for(phone))
    assert asked(answer) == {"phone_required": True}


def test_the_same_phone_again_sends_nothing_before_its_time(app: App) -> None:
    phone = new_phone()
    app.begin(phone=phone)
    assert 0 < asked(app.step(phone=phone))["resend_after"] <= 30
    assert len(messages(app, phone)) == 1


def test_the_same_phone_again_sends_the_same_code(hasty: Running) -> None:
    app, phone = App(RelyingParty(hasty, "demo-native")), new_phone()
    app.begin(phone=phone)
    messages(app, phone)  # what is still queued would be replaced
    app.step(phone=phone)
    first, second = messages(app, phone)
    assert first["code"] == second["code"]


def test_another_phone_takes_the_place_of_the_first(app: App) -> None:
    first, second = new_phone(), new_phone()
    app.begin(phone=first)
    replaced = app.provider.code_for(first)  # sent: what is still queued would be replaced too
    app.step(phone=second)
    if replaced != app.provider.code_for(second):
        assert asked(app.step(otp=replaced))["tries_left"] == 4
    app.step(otp=app.provider.code_for(second))
    tokens = app.redeem(code_in(app.step(**NAME))).json()
    assert app.provider.userinfo(tokens["access_token"]).json()["phone_number"] == second


def test_a_phone_gets_only_so_many_codes(app: App) -> None:
    phone = new_phone()
    for _ in range(5):
        assert asked(app.begin(phone=phone))["otp_required"]
    refused = app.begin(phone=phone)
    assert error_of(refused) == (429, "slow_down")
    assert 0 < int(refused.headers["retry-after"]) <= 120
    assert len(messages(app, phone)) == 5
    app.begin()
    assert error_of(app.step(phone=phone)) == (429, "slow_down")
    assert asked(app.step()) == {"phone_required": True}


def test_a_device_that_has_signed_in_is_not_locked_out_by_others(app: App) -> None:
    phone = new_phone()
    device = app.prove(phone).json().get("device") or app.step(**NAME).json()["device"]
    for _ in range(4):
        assert asked(App(app.party).begin(phone=phone))["otp_required"]
    strangers: tuple[dict[str, str], ...] = (
        {},
        {"device": ""},
        {"device": "x.y"},
        {"device": "é" * 50},
        {"device": device[1:]},
    )
    for shown in strangers:
        assert error_of(app.begin(phone=phone, **shown)) == (429, "slow_down")

    assert asked(app.begin(phone=phone, device=device))["otp_required"]
    assert len(messages(app, phone)) == 6
    again = app.step(otp=app.provider.code_for(phone))
    assert code_in(again)
    assert again.json()["device"] != device
    assert error_of(app.begin(phone=phone)) == (429, "slow_down")


def test_a_device_is_worth_nothing_with_another_phone(app: App) -> None:
    app.prove(new_phone())
    device, other = app.step(**NAME).json()["device"], new_phone()
    for _ in range(5):
        assert asked(app.begin(phone=other, device=device))["otp_required"]
    assert error_of(app.begin(phone=other, device=device)) == (429, "slow_down")


@pytest.fixture(scope="module")
def watching() -> Iterator[Running]:
    """A provider that watches, and asks for little work."""
    toml = "[sending]\nlowest_conversion = 0.4\nproof_of_work_bits = 8\n"
    with run_provider(toml=toml) as running:
        yield running


@pytest.mark.parametrize("hint", ["phone", "login_hint"])
def test_an_app_of_a_doubtful_source_works_first(watching: Running, hint: str) -> None:
    app, phone = App(RelyingParty(watching, "demo-native")), new_phone()
    for _ in range(6):
        app.begin(phone=new_phone())

    wanted = asked(app.begin(**{hint: phone}))
    work = wanted.pop("proof_of_work")
    assert wanted == {"phone_required": True}
    assert (work["algorithm"], work["bits"], work["expires_in"]) == ("sha-256", 8, 300)
    wrong, proof = (solved(work["challenge"], 8, right=it) for it in (False, True))
    # Another digit would make one of 256 right ones.
    for other in (wrong, "", ":", f"{proof}x", proof.replace(":", ".")):
        answer = app.step(phone=phone, proof_of_work=other)
        assert answer.json().get("error_description") == (BAD_PROOF if other else None)
        assert "proof_of_work" in asked(answer)
    assert "proof_of_work" in asked(app.step(phone=new_phone(), proof_of_work=proof))

    sent = asked(app.step(phone=phone, proof_of_work=proof))
    assert sent["otp_required"]
    # What is repeated within its time needs no other proof, and sends nothing.
    assert asked(app.step(phone=phone, proof_of_work=proof))["otp_required"]
    elsewhere = App(app.party)
    elsewhere.begin()
    assert "proof_of_work" in asked(elsewhere.step(phone=phone, proof_of_work=proof))


def test_one_network_begins_only_so_many_sign_ins() -> None:
    toml = "interactions_per_address = { burst = 3, period_seconds = 3600 }\n"
    with run_provider(toml=toml) as running:
        app = App(RelyingParty(running, "demo-native"))
        for _ in range(3):
            assert asked(app.begin()) == {"phone_required": True}
        refused = app.begin(phone=new_phone())
        assert error_of(refused) == (429, "slow_down")
        assert 0 < int(refused.headers["retry-after"]) <= 1200
        # Who has begun goes on.
        assert asked(app.step(phone=new_phone()))["otp_required"]


# The first time


@pytest.mark.parametrize(
    ("profile", "errors"),
    [
        ({"given_name": "Анна"}, {"terms_accepted": "required"}),
        ({"given_name": "Анна", "terms_accepted": "false"}, {"terms_accepted": "required"}),
        ({"terms_accepted": "true"}, {"given_name": "required"}),
        (NAME | {"given_name": "\u200b"}, {"given_name": "required"}),
        (NAME | {"family_name": "а" * 101}, {"family_name": "too_long"}),
    ],
)
def test_a_profile_says_what_is_wrong_with_it(
    app: App, profile: dict[str, str], errors: dict[str, str]
) -> None:
    app.prove(new_test_number())
    answer = asked(app.step(**profile))
    assert answer == {"profile_required": True, "profile_errors": errors}
    code_in(app.step(**NAME))


def test_a_profile_counts_only_once_the_phone_is_proven(app: App) -> None:
    app.begin()
    assert asked(app.step(**NAME)) == {"phone_required": True}
    app.step(phone=new_phone())
    assert asked(app.step(**NAME))["otp_required"]


def test_another_phone_must_be_proven_before_the_profile(app: App) -> None:
    app.prove(new_phone())
    app.step(phone=new_phone())
    assert asked(app.step(**NAME))["otp_required"]


def test_a_blocked_customer_is_denied(app: App) -> None:
    phone = new_test_number()
    sub = claims_of(app.redeem(app.sign_in(phone)).json()["id_token"])["sub"]

    async def block(store: Store) -> None:
        await store.customer_block(
            sub, revocation_id=random_id(), by=By("tests", "a stolen phone"), now=now()
        )

    with_store(load(app.provider.directory / "idp.toml"), block)
    assert error_of(app.prove(phone)) == (400, "access_denied")
    assert error_of(app.step(otp=TEST_CODE)) == (400, "access_denied")
    assert error_of(app.step()) == (400, "access_denied")


# Races


async def at_once(app: App, forms: list[dict[str, str]]) -> list[httpx2.Response]:
    async with app.provider.async_client() as client:
        return await asyncio.gather(*(client.post(PATH, data=form) for form in forms))


async def test_of_200_right_codes_at_once_comes_one_code(app: App) -> None:
    phone = new_test_number()
    app.sign_in(phone)
    app.begin(phone=phone)
    form = {"client_id": "demo-native", "auth_session": app.auth_session, "otp": TEST_CODE}
    answers = await at_once(app, [form] * 200)
    assert len({code_in(answer) for answer in answers}) == 1


async def test_of_100_profiles_at_once_comes_one_customer(app: App) -> None:
    app.prove(new_test_number())
    form = {"client_id": "demo-native", "auth_session": app.auth_session}
    answers = await at_once(app, [form | NAME] * 100)
    assert len({code_in(answer) for answer in answers}) == 1
    assert app.redeem(code_in(answers[0])).status_code == 200


async def test_of_100_guesses_at_once_as_many_count_as_there_are_tries(app: App) -> None:
    phone = new_phone()
    app.begin(phone=phone)
    form = {"client_id": "demo-native", "auth_session": app.auth_session}
    guesses = wrong_codes(app, phone, 100)
    answers = await at_once(app, [form | {"otp": it} for it in guesses])
    left = Counter(json.loads(answer.text)["tries_left"] for answer in answers)
    assert left == {4: 1, 3: 1, 2: 1, 1: 1, 0: 96}


@pytest.fixture(autouse=True)
def _no_fault_of_ours(provider: Running) -> Iterator[None]:
    yield
    assert "internal_error" not in provider.server.output
