"""`idp keys`: the life of the keys, on a store that no server uses."""

import json
import os
import pwd
import re
import socket
import time

import pytest

from keys.ring import KeyRing
from tests.idp.installation import Installation

DAY = 86_400
ACTOR = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


@pytest.mark.parametrize("command", ["show", "activate", "retire"])
def test_a_key_that_is_not_there_is_told(here: Installation, command: str) -> None:
    assert here.refused(command, "nobody") == "there is no key nobody: see `idp keys list`"


def test_a_new_next_key_takes_the_place_of_the_one_that_waits(here: Installation) -> None:
    before, active = here.kid("next"), here.kid("active")
    told = here.done("generate", "ES256", "--reason", "exercise")
    after = here.kid("next")
    assert told.startswith(f"{after} is the next key for ES256; it begins at 20")
    assert here.row(before)["state"] == "retired"
    assert here.kid("active") == active


def test_a_key_that_comes_late_begins_when_the_active_one_has_had_its_time(
    here: Installation,
) -> None:
    since = int(time.time()) - 20 * DAY
    change = "local kid, at = ... box.space.signing_key:update(kid, {{ '=', 'activated_at', at }})"
    here.lua(change, here.kid("active"), since)
    row = json.loads(here.done("generate", "ES256", "--json"))
    assert 28 * DAY < row["activates_at"] - since < 32 * DAY


@pytest.mark.parametrize("alg", ["HS256", "ES384", "none"])
@pytest.mark.parametrize("command", ["generate", "rotate"])
def test_an_algorithm_that_is_not_in_use_is_told(
    here: Installation, command: str, alg: str
) -> None:
    assert here.refused(command, alg) == (
        f"{alg} is not in use: it must be ES256, RS256 or ECDH-ES"
    )


def test_a_key_in_no_module_is_told(here: Installation) -> None:
    assert here.refused("generate", "ES256", "--hsm") == (
        "there is no hardware security module in the settings ([hsm])"
    )


def test_a_rotation_is_planned_for_when_it_is_safe(here: Installation) -> None:
    waiting = here.row(here.kid("next"))
    row = json.loads(here.done("rotate", "ES256", "--json"))
    assert row["kid"] == waiting["kid"]
    assert (row["state"], row["ordered"]) == ("next", True)
    assert (
        row["activates_at"] == waiting["published_at"] + 305
    )  # a cache of 300 s, and 5 s until all serve it
    assert re.search(r"next +ordered in .* " + row["kid"], here.done("list"))
    assert "\nactivates     20" in here.done("show", row["kid"])


def test_a_rotation_may_be_ordered_for_a_time(here: Installation) -> None:
    kid = here.kid("next")
    told = here.done("rotate", "ES256", "--at", "2099-01-01T03:00:00Z")
    assert told.startswith(
        f"{kid} is the next key for ES256; it begins at 2099-01-01T03:00:00Z, in"
    )
    told = here.done("activate", kid, "--at", "2098-01-01T03:00:00Z")
    assert told.startswith(
        f"{kid} is the next key for ES256; it begins at 2098-01-01T03:00:00Z, in"
    )


@pytest.mark.parametrize("at", ["2020-01-01T00:00:00Z", "now"])
def test_a_rotation_that_is_not_safe_yet_is_refused(here: Installation, at: str) -> None:
    if at == "now":
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert re.fullmatch(
        rf"{here.kid('next')} must not sign before 20\S+Z: until then not everybody can know it; "
        "--force with a --reason does it all the same",
        here.refused("rotate", "ES256", "--at", at),
    )


def test_a_forced_rotation_is_done_at_once(here: Installation) -> None:
    active, waiting = here.kid("active"), here.kid("next")
    told = here.done("rotate", "ES256", "--force", "--reason", "drill")
    assert told == f"{waiting} is the active key for ES256 now\n"
    left = here.row(active)
    assert left["state"] == "retiring"
    assert "destroyed" in here.done("show", active)
    assert re.search(r"retiring +retires in .* " + active, here.done("list"))
    assert here.kid("next") not in (active, waiting)


@pytest.mark.parametrize(
    ("command", "state"), [("rotate", "alg"), ("activate", "next"), ("retire", "active")]
)
def test_force_needs_a_reason(here: Installation, command: str, state: str) -> None:
    before = here.rows()
    whom = "ES256" if state == "alg" else here.kid(state)
    for reason in ((), ("--reason", " ")):
        code, _, err = here.keys(command, whom, "--force", *reason)
        assert code == 2
        assert "--force needs a --reason" in err
    assert here.rows() == before


def test_only_a_next_key_can_be_activated(here: Installation) -> None:
    active, waiting = here.kid("active"), here.kid("next")
    assert here.refused("activate", active) == f"{active} signs already"
    here.done("retire", waiting)
    assert here.refused("activate", waiting) == (
        f"{waiting} is retired: only a next key can begin to sign"
    )


def test_an_active_key_cannot_be_retired(here: Installation) -> None:
    active = here.kid("active")
    assert here.refused("retire", active) == (
        f"{active} signs: `idp keys rotate ES256` lets the next key sign in its place"
    )


def test_a_key_stays_published_while_its_tokens_are_good(here: Installation) -> None:
    kid = here.kid("active")
    here.done("rotate", "ES256", "--force", "--reason", "drill")
    assert re.fullmatch(
        f"{kid} must stay until 20\\S+Z: until then its tokens are good; "
        "--force with a --reason does it all the same",
        here.refused("retire", kid),
    )
    assert here.done("retire", kid, "--force", "--reason", "none is left") == f"{kid} is retired\n"
    assert here.done("retire", kid) == f"{kid} is retired\n"


def test_a_next_key_may_retire_and_another_one_waits(here: Installation) -> None:
    kid = here.kid("next")
    assert here.done("retire", kid) == f"{kid} is retired\n"
    assert here.kid("next") != kid


def test_the_keys_of_a_withdrawn_algorithm_retire_together(here: Installation) -> None:
    here.config.write_text(here.config.read_text().replace('"RS256"', '"RS256", "EdDSA"'))
    here.do(lambda life_cycle: KeyRing.open(life_cycle, int(time.time())))
    here.seal_with("a")
    active, waiting = here.kid("active", "EdDSA"), here.kid("next", "EdDSA")
    assert re.search("active +withdrawn: retire it +" + active, here.done("list"))
    assert here.refused("rotate", "EdDSA") == here.refused("activate", waiting)
    assert here.refused("retire", waiting) == (
        f"EdDSA is withdrawn: retire its active key, and {waiting} goes with it"
    )
    assert here.done("retire", active).startswith(f"{active} is retiring; it is published until 20")
    assert here.row(waiting)["state"] == "retired"


# Revoking


def test_a_revoked_key_is_replaced_by_the_one_that_is_published_already(here: Installation) -> None:
    active, waiting = here.kid("active"), here.kid("next")
    told = here.done("revoke", active, "--reason", "found in a log", "--yes")
    assert told == f"{active} is revoked\n"
    assert here.kid("active") == waiting
    assert here.kid("next") not in (active, waiting)
    assert here.row(active)["sealed_with"] is None


def test_a_key_is_revoked_in_any_state_and_again(here: Installation) -> None:
    active, waiting = here.kid("active"), here.kid("next")
    here.done("rotate", "ES256", "--force", "--reason", "drill")
    for kid in (active, waiting, here.kid("next"), active):
        here.done("revoke", kid, "--reason", "leaked", "--yes")
        assert here.row(kid)["state"] == "revoked"
    assert here.refused("retire", active) == f"{active} is revoked already"
    assert len(here.audit("signing_key_revoked")) == 3
    here.kid("active")
    here.kid("next")


def test_who_cannot_be_asked_must_say_yes(here: Installation) -> None:
    kid = here.kid("active")
    assert here.refused("revoke", kid, "--reason", "leaked") == (
        "ES256, active: every token of this key will be refused for ever. "
        "Repeat the command with --yes if that is meant."
    )
    assert here.refused("revoke", "nobody", "--reason", "leaked") == here.refused(
        "revoke", "nobody", "--reason", "leaked", "--yes"
    )
    assert here.keys("revoke", kid, "--yes")[0] == 2
    assert here.keys("revoke", kid, "--yes", "--reason", "")[0] == 2
    assert here.kid("active") == kid


@pytest.mark.parametrize("fault", ["lost", "wrong", "renamed"])
def test_a_key_is_revoked_also_without_its_key_encryption_key(
    here: Installation, fault: str
) -> None:
    active, waiting = here.kid("active"), here.kid("next")
    (here.directory / "a").unlink()
    if fault == "wrong":
        here.new_key_encryption_key("a")
    if fault == "renamed":
        here.new_key_encryption_key("b")
        here.seal_with("b")
    # What would be sealed now could not be opened by the servers.
    said = here.refused("generate", "ES256")
    assert ("key_encryption_keys[a].file" if fault == "lost" else "is sealed under") in said

    code, out, err = here.keys("revoke", active, "--reason", "leaked", "--yes")

    assert (code, out) == (0, f"{active} is revoked\n")
    told, young = err.splitlines()
    assert told == f"idp: {said}; a running server makes the next key by itself"
    assert young.startswith(f"idp: {waiting} signs now and is published for only ")
    assert here.kid("active") == waiting
    assert [row["by"] for row in here.audit("signing_key_revoked")] == [ACTOR]


# The trail


def test_every_change_says_who_made_it_and_why(here: Installation) -> None:
    active = here.kid("active")
    begin = len(here.audit("signing_key_added"))
    here.done("generate", "ES256", "--reason", "one")
    here.done("rotate", "ES256", "--reason", "two")
    here.done("rotate", "ES256", "--force", "--reason", "three")
    here.done("retire", active, "--force", "--reason", "four")
    here.done("revoke", active, "--reason", "five", "--yes")
    told = [
        (row["event"], row["reason"])
        for event in ("added", "scheduled", "activated", "retiring", "retired", "revoked")
        for row in here.audit(f"signing_key_{event}")[begin if event == "added" else 0 :]
        if row.get("by") == ACTOR
    ]
    assert told == [
        ("signing_key_added", "one"),
        ("signing_key_added", "three"),
        ("signing_key_scheduled", "two"),
        ("signing_key_scheduled", "three"),
        ("signing_key_activated", "three"),
        ("signing_key_retiring", "three"),
        ("signing_key_retired", "one"),
        ("signing_key_retired", "four"),
        ("signing_key_revoked", "five"),
    ]
    (revoked,) = here.audit("signing_key_revoked")
    assert revoked["detail"] == {"kid": active, "alg": "ES256", "was": "retired"}
