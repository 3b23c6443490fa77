"""What `idp keys` shows, and how it is typed."""

import json
import re
import shlex
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
    assert all(
        len(line) <= 120 and (row.kid in line) == (n > 0)
        for n, line in enumerate(text.splitlines())
    )


def test_all_about_a_key_is_shown(here: Installation) -> None:
    kid = here.kid("active")
    fields = dict(
        re.split(r"\s{2,}", line, maxsplit=1) for line in here.done("show", kid).splitlines()
    )
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


# What is typed


def test_an_id_that_begins_with_a_hyphen_is_an_id(here: Installation) -> None:
    change = """
        local kid = ...
        local key = box.space.signing_key:get(kid):tomap({ names_only = true })
        box.space.signing_key:delete(kid)
        key.kid = '--ok' .. string.sub(kid, 5)
        require('rows').insert(box.space.signing_key, key)
    """
    here.lua(change, here.kid("next"))
    kid = here.kid("next")
    assert kid.startswith("--ok")
    assert json.loads(here.done("show", kid, "--json"))["kid"] == kid
    for command in (("activate", kid), ("retire", kid), ("revoke", kid, "--reason", "x", "--yes")):
        assert kid in here.keys(*command)[2]
    assert here.row(kid)["state"] == "revoked"


@pytest.mark.parametrize("arguments", [("--forse",), ("-x",), ("--at",)])
def test_an_option_that_is_none_is_a_usage_error(
    here: Installation, arguments: tuple[str, ...]
) -> None:
    code, _, err = here.keys("retire", here.kid("next"), *arguments)
    assert code == 2
    assert "Usage: idp keys retire" in err
    here.kid("next")


@pytest.mark.parametrize(
    ("group", "app"), [("keys", keys_commands.app), ("secrets", secrets_commands.app)]
)
def test_every_example_in_the_help_is_a_command(group: str, app: typer.Typer) -> None:
    known = typer.main.get_group(app)
    for name in ["", *map(str, known.commands)]:
        said = CliRunner().invoke(cli.app, [group, *name.split(), "--help"]).output
        examples = said.partition("Examples:\n")[2].strip().splitlines()
        assert examples
        for example in examples:
            idp, of, command, *arguments = shlex.split(re.sub(r" [<>] \S+$", "", example.strip()))
            assert (idp, of) == ("idp", group)
            known.commands[command].make_context(command, list(arguments))
