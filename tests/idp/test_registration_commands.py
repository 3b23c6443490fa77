"""`idp registration tokens`: who may register clients, decided by an operator."""

import json
import time
from typing import Any

import pytest

from keys.hashing import sha256
from keys.life_cycle import LifeCycle
from storage import outcomes as o
from tests.idp.conftest import Run
from tests.idp.installation import Installation

HOST = ("--redirect-host", "partner.example")


def done(here: Installation, *arguments: object) -> str:
    code, out, err = here.run("registration", "tokens", *arguments)
    assert (code, err) == (0, "")
    return out


def refused(here: Installation, *arguments: object) -> str:
    code, out, err = here.run("registration", "tokens", *arguments)
    assert code != 0
    assert out == ""
    return err


def created(here: Installation, *arguments: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(done(here, "create", *arguments, "--json"))
    return answer


def listed(here: Installation) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(done(here, "list", "--json"))
    return rows


def is_good(here: Installation, token: str) -> bool:
    async def look(life_cycle: LifeCycle) -> bool:
        store: Any = life_cycle.store
        found = await store.initial_access_token_read(sha256(token), now=int(time.time()))
        return isinstance(found, o.FoundInitialAccessToken)

    return here.do(look)


def test_a_token_is_printed_once_and_kept_as_a_hash(here: Installation) -> None:
    out = done(here, "create", *HOST)
    token = out.rpartition(": ")[2].strip()
    assert len(token) == 43
    assert is_good(here, token)
    assert token not in done(here, "list")
    assert token not in done(here, "list", "--json")
    (row,) = listed(here)
    assert row["token_id"] in out


def test_a_token_has_the_policy_that_was_asked_for(here: Installation) -> None:
    before = int(time.time())
    answer = created(
        here,
        *("--scope", "openid", "--scope", "phone"),
        *("--grant-type", "authorization_code", "--grant-type", "client_credentials"),
        *("--service-scope", "stock.read", "--resource", "https://stock.example/"),
        *(*HOST, "--redirect-host", "localhost"),
        *("--clients", "7", "--expires", "2d", "--verified"),
    )
    policy = {
        "scopes": ["openid", "phone"],
        "grant_types": ["authorization_code", "client_credentials"],
        "redirect_hosts": ["partner.example", "localhost"],
        "service_scopes": ["stock.read"],
        "resources": ["https://stock.example/"],
        "verified": True,
    }
    assert answer["policy"] == policy
    assert answer["most_clients"] == 7
    assert 0 <= answer["expires_at"] - before - 2 * 86_400 <= 5
    (row,) = listed(here)
    assert row["policy"] == policy
    assert (row["registered"], row["most_clients"], row["state"]) == (0, 7, "good")


def test_what_is_not_said_is_the_least(here: Installation) -> None:
    policy = created(here, "--any-redirect-host")["policy"]
    assert policy == {
        "scopes": ["openid"],
        "grant_types": ["authorization_code"],
        "redirect_hosts": [],
        "service_scopes": [],
        "resources": [],
        "verified": False,
    }


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "--any-redirect-host"),
        ((*HOST, "--any-redirect-host"), "--any-redirect-host"),
        (("--redirect-host", "*.example"), "wildcard"),
        (("--redirect-host", "https://partner.example"), "wildcard"),
        (("--redirect-host", "partner.example:443"), "port"),
        ((*HOST, "--scope", "root"), "--scope root"),
        ((*HOST, "--grant-type", "implicit"), "--grant-type implicit"),
        ((*HOST, "--grant-type", "urn:x5id:oauth:grant-type:phone-otp"), "--grant-type urn:"),
        (("--grant-type", "client_credentials"), "--service-scope"),
        ((*HOST, "--service-scope", "stock.read"), "--service-scope"),
        ((*HOST, "--resource", "stock"), "--resource stock"),
        ((*HOST, "--clients", "0"), "--clients"),
        ((*HOST, "--expires", "0s"), "--expires"),
        ((*HOST, "--expires", "400d"), "--expires"),
        ((*HOST, "--expires", "soon"), "--expires"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(
    here: Installation, arguments: tuple[str, ...], fault: str
) -> None:
    assert fault in refused(here, "create", *arguments)
    assert listed(here) == []


def test_a_revoked_token_is_good_no_more(here: Installation) -> None:
    token = created(here, *HOST)
    assert is_good(here, token["initial_access_token"])
    assert token["token_id"] in done(here, "revoke", token["token_id"], "--reason", "it leaked")
    assert not is_good(here, token["initial_access_token"])
    (row,) = listed(here)
    assert row["state"] == "revoked"
    assert "revoked" in done(here, "list")
    # Again is no fault.
    done(here, "revoke", token["token_id"], "--reason", "it leaked")


def test_a_token_that_there_is_not_cannot_be_revoked(here: Installation) -> None:
    assert "there is no token x" in refused(here, "revoke", "x", "--reason", "a guess")
    # An identifier may look like an option.
    assert "there is no token -x" in refused(here, "revoke", "-x", "--reason", "a guess")


def test_to_revoke_takes_a_reason(here: Installation) -> None:
    token = created(here, *HOST)
    assert "--reason" in refused(here, "revoke", token["token_id"])
    assert is_good(here, token["initial_access_token"])


def test_both_are_in_the_audit_trail(here: Installation) -> None:
    token = created(here, *HOST, "--reason", "contract 42")
    done(here, "revoke", token["token_id"], "--reason", "it ended")
    (made,) = here.audit("initial_access_token_created")
    (revoked,) = here.audit("initial_access_token_revoked")
    assert (made["reason"], revoked["reason"]) == ("contract 42", "it ended")
    assert made["by"] == revoked["by"]
    assert token["initial_access_token"] not in json.dumps([made, revoked])


def test_help_has_examples(run: Run) -> None:
    for words in ((), ("tokens",), ("tokens", "create"), ("tokens", "list"), ("tokens", "revoke")):
        code, out, _ = run("registration", *words, "--help")
        assert code == 0
        assert "Examples:" in out
