"""`idp keys`: the life of the keys, on a store that no server uses."""

import getpass
import json
import re
import shlex
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from idp import cli
from idp.commands import key_reports
from idp.commands import keys as keys_commands
from idp.commands import secrets as secrets_commands
from keys.life_cycle import LifeCycle
from storage.records import KeyState, SigningKeyRow
from tests.idp.conftest import Run
from tests.idp.installation import Installation

DAY = 86_400
NOW = 1_800_000_000
ACTOR = f"{getpass.getuser()}@{socket.gethostname()}"
STARTED = "2027-01-15T08:00:00Z"


@pytest.fixture
def here(directory: Path, run: Run) -> Iterator[Installation]:
    installation = Installation(directory, run)
    installation.start()
    yield installation
    installation.tarantool.stop()


def some_key(state: KeyState = "next", **changes: object) -> SigningKeyRow:
    row = SigningKeyRow(
        kid="k" * 43,
        alg="ECDH-ES",
        use="enc",
        public_jwk={"kty": "EC"},
        created_at=NOW,
        token_lifetime=600,
        state=state,
        sealed_public=f"{'k' * 32}.sealed",
    )
    return msgspec.structs.replace(row, **changes)


def commands_of(group: typer.Typer) -> set[str]:
    found = {it.name or it.callback.__name__ for it in group.registered_commands if it.callback}
    return found.union(*(commands_of(it.typer_instance) for it in group.registered_groups if it.typer_instance))


# Looking


def test_a_first_look_says_who_makes_the_keys(directory: Path, run: Run) -> None:
    nobody = Installation(directory, run)
    code, out, _ = nobody.keys("list")
    assert (code, out) == (0, "there are no keys yet: a server makes them when it starts\n")
    assert nobody.keys("list", "--json")[1] == "[]\n"
    for command in ("rotate", "generate"):
        assert nobody.keys(command, "ES256")[2].endswith("a server makes them when it starts\n")


def test_every_algorithm_has_a_key_that_signs_and_one_that_waits(here: Installation) -> None:
    lines = here.done("list").splitlines()
    assert lines[0].split()[:2] == ["ALG", "STATE"]
    assert [line.split()[:2] for line in lines[1:]] == [
        [alg, state] for alg in ("ECDH-ES", "ES256", "RS256") for state in ("active", "next")
    ]
    (waiting,) = (line for line in lines if here.kid("next") in line)
    assert re.search(r"activates in \d+ d", waiting)
    assert " a " in waiting


@pytest.mark.parametrize(
    "row",
    [
        some_key(activates_at=NOW + 29 * DAY + 23 * 3600),
        some_key(activates_at=NOW + 59 * 60 + 59, ordered=True),
        some_key(activates_at=NOW + 59 * 60 + 59),
        some_key("retiring", retires_at=NOW + 59 * 60 + 59),
        some_key("active", alg="EdDSA", activated_at=NOW - 400 * DAY + 3600),
        some_key("active", alg="ES384", activated_at=NOW),
        some_key("revoked", ended_at=NOW - 59 * 60 - 59),
    ],
    ids=lambda row: key_reports.outlook(row, ("ECDH-ES", "EdDSA"), NOW),
)
def test_a_table_fits_into_120_columns_and_never_shortens_an_id(row: SigningKeyRow) -> None:
    retiring = some_key("retiring", retires_at=NOW)
    text = key_reports.as_table([row, retiring], ("ECDH-ES", "EdDSA"), NOW)
    assert all(len(line) <= 120 and (row.kid in line) == (n > 0) for n, line in enumerate(text.splitlines()))


def test_all_about_a_key_is_shown(here: Installation) -> None:
    kid = here.kid("active")
    fields = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in here.done("show", kid).splitlines())
    assert fields["key"] == kid
    assert fields["algorithm"] == "ES256, to sign with"
    assert re.fullmatch(r"active, for .*", fields["state"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ, (now|\d+ s ago)", fields["activated"])
    assert fields["private part"] == "sealed with the key-encryption key a"
    assert fields["its tokens"] == "are good for 10 min"
    assert json.loads(fields["public part"])["kid"] == kid
    assert "activates" not in fields


def test_a_private_part_is_never_shown(here: Installation) -> None:
    async def sealed(life_cycle: LifeCycle) -> list[str]:
        rows = await life_cycle.store.signing_keys()
        return [row.sealed_private for row in rows if row.sealed_private]

    said = here.done("list", "--json") + here.done("show", here.kid("active")) + here.done("list")
    assert '"d"' not in said
    assert not any(it in said for it in here.do(sealed))


@pytest.mark.parametrize("command", ["show", "activate", "retire"])
def test_a_key_that_is_not_there_is_told(here: Installation, command: str) -> None:
    assert here.refused(command, "nobody") == "there is no key nobody: see `idp keys list`"


# Changing


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
    # As if it had signed for 20 of its 30 days.
    here.tarantool_eval = None
    row = json.loads(here.done("generate", "ES256", "--json"))
    active = here.row(here.kid("active"))
    assert abs(row["activates_at"] - active["activated_at"] - 30 * DAY) <= 2 * DAY


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
    assert row["activates_at"] == waiting["published_at"] + 300
    assert re.search(r"next +ordered in 4 min \d+ s +" + row["kid"], here.done("list"))
    assert "\nactivates     20" in here.done("show", row["kid"])


def test_a_rotation_may_be_ordered_for_a_time(here: Installation) -> None:
    kid = here.kid("next")
    told = here.done("rotate", "ES256", "--at", "2099-01-01T03:00:00Z")
    assert told.startswith(f"{kid} is the next key for ES256; it begins at 2099-01-01T03:00:00Z, in")
    told = here.done("activate", kid, "--at", "2098-01-01T03:00:00Z")
    assert told.startswith(f"{kid} is the next key for ES256; it begins at 2098-01-01T03:00:00Z, in")


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
    assert re.search(r"retiring +retires in 10 min +\d* ?s? *" + active, here.done("list"))
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
    here.do(lambda life_cycle: life_cycle.complete(int(time.time())))
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
    assert err == f"idp: {said}; a running server makes the next key by itself\n"
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


# Help


@pytest.mark.parametrize(
    ("group", "app"), [("keys", keys_commands.app), ("secrets", secrets_commands.app)]
)
def test_every_example_in_the_help_is_a_command(group: str, app: typer.Typer) -> None:
    root = typer.main.get_command(cli.app)
    context = root.make_context("idp", [group])
    known = root.get_command(context, group)
    for name in ["", *known.list_commands(context)]:
        said = CliRunner().invoke(cli.app, [group, *name.split(), "--help"]).output
        examples = said.partition("Examples:\n")[2].strip().splitlines()
        assert examples
        for example in examples:
            words = shlex.split(re.sub(r" [<>] \S+$", "", example.strip()))
            assert words[:2] == ["idp", group]
            command = known.get_command(context, words[2])
            command.make_context(words[2], words[3:], parent=context)
