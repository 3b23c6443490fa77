"""Attacks on the sign-in without a browser: races, other clients' sessions, rubbish."""

import asyncio
import itertools
import random

import httpx2
import pytest

from keys.hashing import b64url, sha256
from tests.http.provider import (
    PHONE_OTP,
    TEST_CODE,
    RelyingParty,
    Running,
    new_phone,
    new_test_number,
)
from tests.http.registered import register
from tests.http.test_authorization_challenge import (
    INVALID_SESSION,
    NAME,
    NATIVE,
    PATH,
    App,
    asked,
    at_once,
    code_in,
    error_of,
    messages,
    wrong_codes,
)

RUBBISH = (
    *(
        "",
        "\0",
        "é",
        "\ud7ff",
        "\U0001f600",
        "\u202e",
        "%",
        "[]",
        "{}",
        "-1",
        "x.y",
        ":",
        "A" * 5000,
    ),
    *("\uff11\uff12\uff13\uff14\uff15\uff16", " 12 34 56 ", "1234", "+7", "tel:+79160000001"),
    *("+7 916 000-00-01;ext=5", "a.1.8.b:1", "..:1", "true", "none", "consent"),
)
PARAMETERS = (
    *("auth_session", "otp", "phone", "given_name", "family_name", "terms_accepted", "device"),
    *("proof_of_work", "client_id", "client_secret", "client_assertion", "client_assertion_type"),
    *("response_type", "response_mode", "scope", "code_challenge", "code_challenge_method"),
    *("prompt", "max_age", "claims", "id_token_hint", "login_hint", "ui_locales", "acr_values"),
    *("nonce", "state", "redirect_uri", "request", "request_uri", "resource", "dpop_jkt"),
)


@pytest.fixture
def app(provider: Running) -> App:
    return App(RelyingParty(provider, "demo-native"))


def form(app: App, **step: str) -> dict[str, str]:
    return {"client_id": "demo-native", "auth_session": app.auth_session, **step}


# Races


async def test_of_60_beginnings_at_once_as_many_send_as_the_phone_may_have(app: App) -> None:
    phone = new_phone()
    begun = app.party.request(redirect_uri=None, state=None, phone=phone)

    answers = await at_once(app, [begun] * 60)

    assert sorted(it.status_code for it in answers) == [403] * 5 + [429] * 55
    assert len(messages(app, phone)) == 5


@pytest.mark.parametrize("seed", range(4))
async def test_a_phone_changed_meanwhile_is_never_taken_for_the_proven_one(
    app: App, seed: int
) -> None:
    mine, victims = new_phone(), new_phone()
    app.begin(phone=mine)
    code = app.provider.code_for(mine)
    forms = [
        *itertools.repeat(form(app, otp=code), 10),
        *itertools.repeat(form(app, phone=victims), 3),
        *itertools.repeat(form(app, **NAME), 10),
    ]
    random.Random(seed).shuffle(forms)

    answers = await at_once(app, forms)

    codes = {code_in(it) for it in answers if it.status_code == 200}
    assert len(codes) <= 1
    for authorization_code in codes:
        tokens = app.redeem(authorization_code).json()
        userinfo = app.provider.userinfo(tokens["access_token"]).json()
        assert userinfo["phone_number"] == mine
    if not codes:
        assert "authorization_code" not in app.step(**NAME).json()


@pytest.mark.parametrize("seed", range(4))
async def test_the_right_code_among_many_guesses_wins_or_loses_for_good(
    app: App, seed: int
) -> None:
    phone = new_phone()
    app.begin(phone=phone)
    right = form(app, otp=app.provider.code_for(phone))
    forms = [form(app, otp=it) for it in wrong_codes(app, phone, 40)] + [right] * 3
    random.Random(seed).shuffle(forms)

    answers = [asked(it) for it in await at_once(app, forms)]

    won = any("profile_required" in it for it in answers)
    assert won != ({"phone_required": True, "tries_left": 0} in answers)
    assert ("profile_required" in asked(app.send(**right))) == won


async def test_the_last_step_again_gives_nothing_once_its_code_is_being_redeemed(app: App) -> None:
    code = app.sign_in(new_phone())
    redemption = {
        "grant_type": "authorization_code",
        "client_id": "demo-native",
        "code": code,
        "code_verifier": app.party.verifier,
    }

    async with app.provider.async_client() as client:
        redeemed = asyncio.gather(*(client.post("/token", data=redemption) for _ in range(50)))
        again = asyncio.gather(*(client.post(PATH, data=form(app, **NAME)) for _ in range(20)))
        answers, repeated = await redeemed, await again

    assert sorted(it.status_code for it in answers) == [200] + [400] * 49
    assert {code_in(it) for it in repeated if it.status_code == 200} <= {code}
    assert error_of(app.step(**NAME)) == INVALID_SESSION


# What was begun stays as it was begun


def test_a_later_step_changes_nothing_of_the_request(app: App) -> None:
    other = RelyingParty(app.provider, "demo-native")
    changes = {"code_challenge": other.challenge, "nonce": "evil", "scope": "openid"}
    app.begin(phone=new_test_number())
    app.step(otp=TEST_CODE, **changes)
    code = code_in(app.step(**NAME, **changes))

    assert error_of(app.redeem(code, code_verifier=other.verifier)) == (400, "invalid_grant")
    assert app.redeem(code).json()["scope"] == app.party.scope


@pytest.mark.parametrize("name", ["auth_session", "otp", "phone", "client_id", "given_name"])
@pytest.mark.parametrize("first", ["", "x"])
def test_a_step_with_a_parameter_twice_is_refused(app: App, name: str, first: str) -> None:
    app.begin(phone=new_phone())
    step: dict[str, str | list[str]] = dict(form(app))
    with app.provider.client() as client:
        answer = client.post(PATH, data=step | {name: [first, "y"]})
    assert error_of(answer) == (400, "invalid_request")
    assert asked(app.step())["tries_left"] == 5


def test_the_query_says_nothing(app: App) -> None:
    app.begin(phone=new_phone())
    with app.provider.client() as client:
        answer = client.post(f"{PATH}?otp=000000&phone=x", data=form(app))
    assert asked(answer)["tries_left"] == 5


# Other clients


def test_a_client_with_a_secret_cannot_go_on_with_anothers_session(provider: Running) -> None:
    secrets = [
        register(provider, name, **NATIVE, first_party_native=True)
        for name in ("first-safe-app", "second-safe-app")
    ]
    owner = App(RelyingParty(provider, "first-safe-app"), secret=secrets[0] or "")
    thief = App(RelyingParty(provider, "second-safe-app"), secret=secrets[1] or "")
    owner.begin(phone=new_test_number(), client_id=None)

    for step in ({}, {"otp": TEST_CODE}, NAME, {"phone": new_phone()}):
        stolen = {"auth_session": owner.auth_session, **step}
        assert error_of(thief.send(**stolen)) == INVALID_SESSION
        named = thief.send(**stolen, client_id="first-safe-app")
        assert error_of(named) == (400, "invalid_request")

    entered = owner.send(auth_session=owner.auth_session, otp=TEST_CODE)
    assert asked(entered) == {"profile_required": True}


def test_the_phone_grant_does_not_go_on_with_an_auth_session(app: App) -> None:
    phone, bot = new_phone(), RelyingParty(app.provider, "demo-bot")
    app.begin(phone=phone)
    code = app.provider.code_for(phone)

    for name in (app.auth_session, b64url(sha256(app.auth_session)[:16])):
        redeemed = bot.token(grant_type=PHONE_OTP, otp_session=name, otp=code)
        assert error_of(redeemed) == (400, "invalid_grant")
        resent = bot.post("/otp", otp_session=name, phone=phone)
        assert error_of(resent) == (400, "invalid_request")

    assert asked(app.step(otp=code)) == {"profile_required": True}


# Rubbish


async def test_any_mixture_is_answered_by_an_error_of_its_own(app: App) -> None:
    chance = random.Random(7)
    app.begin(phone=new_phone())
    begun = app.party.request(redirect_uri=None, state=None)
    forms = []
    for _ in range(800):
        mixed = dict(chance.choice((begun, form(app))))
        for _ in range(chance.randint(1, 4)):
            mixed[chance.choice(PARAMETERS)] = chance.choice(RUBBISH)
        forms.append(mixed)

    answers: list[httpx2.Response] = []
    for first in range(0, len(forms), 100):
        answers += await at_once(app, forms[first : first + 100])

    for sent, answer in zip(forms, answers, strict=True):
        assert 400 <= answer.status_code < 500, (sent, answer.text)
        assert answer.json()["error"], sent
        assert answer.json().get("error_description", "").isascii()
