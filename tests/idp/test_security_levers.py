"""`idp customers`, `idp sessions` and `idp tokens`, beside a running server that must obey them."""

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.http.provider import (
    PHONE_OTP,
    Browser,
    RelyingParty,
    Running,
    claims_of,
    new_phone,
    parameters_of,
)
from tests.http.provider import provider as run_provider
from tests.idp.conftest import Run

OFFLINE = "openid phone offline_access"
Lever = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def provider() -> Iterator[Running]:
    no_limit = "otp.sends_per_address = { burst = 1_000_000, period_seconds = 3600 }\n"
    with run_provider(workers=2, toml=no_limit) as running:
        yield running


@pytest.fixture
def browser(provider: Running) -> Iterator[Browser]:
    opened = Browser(provider)
    with contextlib.closing(opened.http):
        yield opened


@pytest.fixture
def party(provider: Running) -> RelyingParty:
    return RelyingParty(provider)


@pytest.fixture
def bot(provider: Running) -> RelyingParty:
    return RelyingParty(provider, "demo-bot")


@pytest.fixture
def pull(provider: Running, run: Run) -> Lever:
    """Runs a command that succeeds; gives what it prints as JSON."""

    def pull(*arguments: str) -> dict[str, Any]:
        config = str(provider.directory / "idp.toml")
        code, out, err = run(*arguments, "--config", config, "--json")
        assert code == 0, out + err
        answer: dict[str, Any] = json.loads(out)
        return answer

    return pull


@pytest.fixture
def refused(provider: Running, run: Run) -> Callable[..., str]:
    """Runs a command that fails; gives what it laments."""

    def refused(*arguments: str) -> str:
        code, out, err = run(*arguments, "--config", str(provider.directory / "idp.toml"))
        assert code != 0, out
        return err

    return refused


def block(pull: Lever, name: str) -> None:
    assert pull("customers", "block", name, "--reason", "a stolen phone")["changed"]


def unblock(pull: Lever, name: str) -> None:
    assert pull("customers", "unblock", name, "--reason", "it was found")["changed"]


def bot_tokens(bot: RelyingParty, phone: str, **changes: str) -> Any:
    otp_session = bot.post("/otp", phone=phone).json()["otp_session"]
    otp = bot.provider.code_for(phone)
    return bot.token(grant_type=PHONE_OTP, otp_session=otp_session, otp=otp, **changes).json()


def is_out(party: RelyingParty, tokens: dict[str, Any]) -> bool:
    refresh = party.refresh(tokens["refresh_token"])
    userinfo = party.provider.userinfo(tokens["access_token"]).status_code
    refused = refresh.status_code == 400 and refresh.json()["error"] == "invalid_grant"
    assert refused == (userinfo == 401)
    return refused


# Blocked


def test_a_blocked_customer_is_out_at_once(
    browser: Browser, party: RelyingParty, pull: Lever
) -> None:
    phone = new_phone()
    tokens = browser.tokens(party, phone)
    offline = browser.tokens(party, phone, scope=OFFLINE, prompt="consent")
    code = parameters_of(browser.authorize(party))["code"]

    block(pull, phone)

    assert is_out(party, tokens)
    assert is_out(party, offline)
    assert party.redeem(code).json()["error"] == "invalid_grant"
    assert parameters_of(browser.authorize(party, prompt="none"))["error"] == "login_required"


def test_a_blocked_customer_is_told_once_the_phone_is_proven(
    browser: Browser, party: RelyingParty, pull: Lever
) -> None:
    phone = new_phone()
    browser.tokens(party, phone)
    block(pull, phone)

    browser.authorize(party, prompt="login")
    sent = browser.submit("phone", phone=phone)
    assert sent.headers["location"].endswith("/code")
    right = browser.provider.code_for(phone)
    wrong = browser.submit("code", code=f"{(int(right) + 1) % 10**6:06}")
    assert wrong.headers["location"].endswith("/code?error=code_wrong")

    refused = browser.submit("code", code=right)

    assert refused.headers["location"] == f"{browser.interaction}/blocked"
    page = browser.get("blocked")
    assert page.status_code == 403
    assert phone not in page.text
    for other in ("code", "profile"):
        assert browser.get(other).headers["location"].endswith("/blocked")
    back = parameters_of(browser.submit("cancel"))
    assert (back["error"], back["state"]) == ("access_denied", party.state)


def test_the_page_of_the_blocked_is_for_nobody_else(browser: Browser, party: RelyingParty) -> None:
    browser.authorize(party)
    assert browser.get("blocked").headers["location"].endswith("/phone")


def test_a_blocked_customer_is_told_by_the_phone_grant(bot: RelyingParty, pull: Lever) -> None:
    phone = new_phone()
    bot_tokens(bot, phone)
    block(pull, phone)

    answer = bot_tokens(bot, phone)

    assert answer == {
        "error": "invalid_grant",
        "error_description": "access is closed for this customer",
    }


def test_who_is_unblocked_signs_in_anew_and_gets_nothing_back(
    browser: Browser, party: RelyingParty, bot: RelyingParty, pull: Lever
) -> None:
    phone = new_phone()
    tokens = browser.tokens(party, phone, scope=OFFLINE)
    sub = claims_of(tokens["id_token"])["sub"]
    block(pull, sub)
    unblock(pull, sub)

    assert is_out(party, tokens)
    assert parameters_of(browser.authorize(party, prompt="none"))["error"] == "login_required"
    fresh = browser.tokens(party, phone)
    assert claims_of(fresh["id_token"])["sub"] == sub
    assert not is_out(party, fresh)
    assert "access_token" in bot_tokens(bot, phone)


def test_a_block_is_shown_with_since_by_and_why(
    browser: Browser, party: RelyingParty, pull: Lever, provider: Running, run: Run
) -> None:
    phone = new_phone()
    browser.tokens(party, phone, scope=OFFLINE)
    shown = pull("customers", "show", phone)
    assert (shown["blocked"], shown["block"]) == (False, None)
    assert (shown["sessions"], shown["grants"], shown["offline_grants"]) == (1, 1, 1)
    block(pull, shown["sub"])

    shown = pull("customers", "show", shown["sub"])

    assert shown["blocked"]
    assert shown["block"]["reason"] == "a stolen phone"
    assert (shown["sessions"], shown["grants"]) == (0, 0)
    config = str(provider.directory / "idp.toml")
    code, text, _ = run("customers", "show", phone, "--config", config)
    assert code == 0
    assert "a stolen phone" in text
    assert phone not in text + json.dumps(shown)
    assert phone[-2:] in shown["phone"]


def test_a_block_twice_changes_nothing_and_is_no_failure(bot: RelyingParty, pull: Lever) -> None:
    phone = new_phone()
    bot_tokens(bot, phone)
    assert not pull("customers", "unblock", phone, "--reason", "none")["changed"]
    block(pull, phone)
    assert not pull("customers", "block", phone, "--reason", "again")["changed"]


def test_whom_nobody_knows_is_told_so(refused: Callable[..., str]) -> None:
    phone = new_phone()
    for command in (
        ("customers", "show"),
        ("customers", "block", "--reason", "x"),
        ("customers", "unblock", "--reason", "x"),
    ):
        assert refused(*command, phone) == f"idp: no customer has the phone {phone}\n"
        assert refused(*command, "nobody") == "idp: no customer has the sub nobody\n"
    assert "--reason" in refused("customers", "block", phone)


def test_an_identifier_may_begin_with_a_hyphen(refused: Callable[..., str]) -> None:
    assert "no customer has the sub -aM-f" in refused("customers", "show", "-aM-f")
    assert "no customer has the sub --aMf" in refused("sessions", "list", "--sub", "--aMf")
    assert "no token of ours" in refused("tokens", "revoke", "-aM.f", "--reason", "x")
    assert "the grant -aMf is not known" in refused(
        "tokens", "revoke", "--grant", "-aMf", "--reason", "x"
    )


# Sessions


def test_a_customers_sessions_are_listed_and_ended(
    browser: Browser, party: RelyingParty, bot: RelyingParty, pull: Lever
) -> None:
    phone = new_phone()
    tokens = browser.tokens(party, phone, scope=OFFLINE)
    bots = bot_tokens(bot, phone)
    claims = claims_of(tokens["id_token"])

    listed = pull("sessions", "list", "--phone", phone)["sessions"]

    by_sid = {session["sid"]: session for session in listed}
    assert len(by_sid) == 2
    assert by_sid[claims["sid"]]["grants"][0]["client_id"] == "demo"
    assert by_sid[claims["sid"]]["grants"][0]["offline"]
    assert phone not in json.dumps(listed)

    pull("sessions", "revoke", "--sub", claims["sub"], "--reason", "a lost phone", "--yes")

    assert pull("sessions", "list", "--sub", claims["sub"])["sessions"] == []
    assert is_out(party, tokens)
    assert party.provider.userinfo(bots["access_token"]).status_code == 401
    assert not is_out(party, browser.tokens(party, phone))


def test_a_clients_customers_sign_in_to_it_anew_and_stay_signed_in(
    browser: Browser, party: RelyingParty, bot: RelyingParty, pull: Lever
) -> None:
    phone = new_phone()
    tokens, bots = browser.tokens(party, phone), bot_tokens(bot, phone)

    pull("sessions", "revoke", "--client", "demo-bot", "--reason", "a leak", "--yes")

    assert party.provider.userinfo(bots["access_token"]).status_code == 401
    assert not is_out(party, tokens)
    assert "access_token" in bot_tokens(bot, phone)


def test_everybody_who_signed_in_until_a_time_is_out(
    browser: Browser, party: RelyingParty, pull: Lever
) -> None:
    tokens = browser.tokens(party, new_phone(), scope=OFFLINE)
    pull("sessions", "revoke", "--everybody", "--until", "1d", "--reason", "old", "--yes")
    assert not is_out(party, tokens)

    pull("sessions", "revoke", "--everybody", "--since", "1d", "--reason", "codes read", "--yes")

    assert is_out(party, tokens)
    assert pull("sessions", "list")["sessions"] == []
    assert not is_out(party, browser.tokens(party, new_phone()))


def test_a_list_goes_on_where_it_ended(bot: RelyingParty, pull: Lever) -> None:
    phone = new_phone()
    sids = {claims_of(bot_tokens(bot, phone)["id_token"])["sid"] for _ in range(3)}
    found: list[str] = []
    after: list[str] = []
    while True:
        part = pull("sessions", "list", "--phone", phone, "--limit", "1", *after)
        found += [session["sid"] for session in part["sessions"]]
        if part["after"] is None:
            break
        after = ["--after", part["after"]]

    assert len(found) == 3
    assert set(found) == sids


def test_what_cannot_be_undone_is_confirmed(refused: Callable[..., str]) -> None:
    lament = refused("sessions", "revoke", "--everybody", "--reason", "x")
    assert "cannot be undone" in lament
    assert "--yes" in lament


@pytest.mark.parametrize(
    ("arguments", "lament"),
    [
        ((), "give one of --phone, --sub, --client and --everybody"),
        (("--everybody", "--client", "demo"), "--client and --everybody cannot be given together"),
        (("--phone", "abc"), "abc is no phone number"),
        (("--sub", "nobody"), "no customer has the sub nobody"),
        (("--client", "nothing"), "there is no client nothing"),
        (("--everybody", "--until", "2100-01-01"), "--since and --until lie in the past"),
        (("--everybody", "--since", "1h", "--until", "2h"), "--since comes before --until"),
    ],
)
def test_a_revocation_that_cannot_be_meant_is_refused(
    refused: Callable[..., str], arguments: tuple[str, ...], lament: str
) -> None:
    told = refused("sessions", "revoke", *arguments, "--reason", "x", "--yes")
    assert lament in told.replace("\n", " ")


# Tokens


def test_an_access_token_is_taken_back_by_itself(
    browser: Browser, party: RelyingParty, pull: Lever, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = browser.tokens(party, new_phone())
    monkeypatch.setattr(sys, "stdin", io.StringIO(tokens["access_token"] + "\n"))

    told = pull("tokens", "revoke", "-", "--reason", "found in a log")

    assert told == {"jti": claims_of(tokens["access_token"])["jti"], "grant": None}
    assert party.provider.userinfo(tokens["access_token"]).status_code == 401
    refreshed = party.refresh(tokens["refresh_token"]).json()
    assert party.provider.userinfo(refreshed["access_token"]).status_code == 200


@pytest.mark.parametrize("how", ["token", "grant"])
def test_a_refresh_token_takes_its_grant_along(
    browser: Browser, party: RelyingParty, pull: Lever, how: str
) -> None:
    tokens = browser.tokens(party, new_phone())
    grant = tokens["refresh_token"].partition(".")[0]
    given = [tokens["refresh_token"]] if how == "token" else ["--grant", grant]

    assert pull("tokens", "revoke", *given, "--reason", "x") == {"jti": None, "grant": grant}

    assert is_out(party, tokens)


def test_a_jti_is_enough(browser: Browser, party: RelyingParty, pull: Lever) -> None:
    tokens = browser.tokens(party, new_phone())

    pull("tokens", "revoke", "--jti", claims_of(tokens["access_token"])["jti"], "--reason", "x")

    assert party.provider.userinfo(tokens["access_token"]).status_code == 401


def test_what_is_no_token_of_ours_is_told_so(refused: Callable[..., str]) -> None:
    reason = ("--reason", "x")
    assert "no token of ours" in refused("tokens", "revoke", "made.up", *reason)
    assert "is not known" in refused("tokens", "revoke", "--grant", "none", *reason)
    assert "is not known" in refused("tokens", "revoke", "--jti", "none.1", *reason)
    assert "give one of" in refused("tokens", "revoke", *reason)


def test_every_lever_is_in_the_audit_trail(
    browser: Browser, party: RelyingParty, pull: Lever, provider: Running, run: Run
) -> None:
    phone = new_phone()
    tokens = browser.tokens(party, phone)
    sub = claims_of(tokens["id_token"])["sub"]
    reason = ("--reason", "case 4711")
    pull("tokens", "revoke", tokens["access_token"], *reason)
    pull("tokens", "revoke", tokens["refresh_token"], *reason)
    pull("sessions", "revoke", "--sub", sub, "--yes", *reason)
    pull("customers", "block", sub, *reason)
    pull("customers", "unblock", sub, *reason)

    config = str(provider.directory / "idp.toml")
    _, out, _ = run("audit", "read", "--sub", sub, "--json", "--config", config)

    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events if event.get("reason") == "case 4711"] == [
        "access_token_revoked",
        "grant_revoked",
        "sessions_revoked",
        "customer_blocked",
        "customer_unblocked",
    ]
    assert all("@" in event["by"] for event in events if event.get("reason"))
