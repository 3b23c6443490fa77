"""`idp secrets`."""

import json
from typing import Any

import pytest

from idp.commands.operating import actor
from keys.server_secrets import SERVER_SECRETS
from tests.idp.installation import Installation

ROTATING = sorted(secret.name for secret in SERVER_SECRETS if secret.rotates)
OTHERS = sorted(secret.name for secret in SERVER_SECRETS if not secret.rotates)


def versions(here: Installation) -> list[dict[str, Any]]:
    code, out, _ = here.run("secrets", "list", "--json")
    assert code == 0
    rows: list[dict[str, Any]] = json.loads(out)
    return rows


def rotate(here: Installation, *arguments: object) -> tuple[int, str, str]:
    return here.run("secrets", "rotate", *arguments)


def test_secrets_are_listed_without_their_values(here: Installation) -> None:
    code, out, err = here.run("secrets", "list")
    assert (code, err) == (0, "")
    header, *lines = out.splitlines()
    assert header.split() == ["NAME", "VERSION", "MADE", "SUPERSEDED", "ROTATES", "SEALED", "WITH"]
    assert [line.split()[0] for line in lines] == sorted([*ROTATING, *OTHERS])
    assert {line.split()[0] for line in lines if " yes " in line} == set(ROTATING)
    assert all(len(line) <= 100 for line in lines)
    (row,) = (row for row in versions(here) if row["name"] == "refresh")
    assert row.pop("created_at") > 0
    assert row == {
        "name": "refresh",
        "version": 1,
        "superseded_at": None,
        "sealed_with": "a",
        "rotates": False,
        "use": next(it.use for it in SERVER_SECRETS if it.name == "refresh"),
    }


def test_secrets_are_listed_without_a_key_encryption_key(here: Installation) -> None:
    (here.directory / "a").unlink()
    assert len(versions(here)) == len(SERVER_SECRETS)


@pytest.mark.parametrize("name", ROTATING)
def test_a_secret_rotates(here: Installation, name: str) -> None:
    assert rotate(here, name, "--reason", "yearly") == (
        0,
        f"{name} has version 2; servers use it in 10 s\n",
        "",
    )
    old, new = (row for row in versions(here) if row["name"] == name)
    assert (old["version"], new["version"]) == (1, 2)
    assert old["superseded_at"] == new["created_at"]
    assert new["superseded_at"] is None
    told = here.audit("server_secret_added")[-1]
    assert (told["by"], told["reason"]) == (actor(), "yearly")
    assert told["detail"] == {"name": name, "version": 2}
    code, out, _ = rotate(here, name, "--reason", "yearly", "--json")
    assert (code, json.loads(out)) == (0, {"name": name, "version": 3})


@pytest.mark.parametrize("name", OTHERS)
def test_a_secret_that_may_not_rotate_says_why(here: Installation, name: str) -> None:
    use = next(it.use for it in SERVER_SECRETS if it.name == name)
    assert rotate(here, name, "--reason", "x") == (1, "", f"idp: {name} does not rotate: {use}\n")
    assert len(versions(here)) == len(SERVER_SECRETS)


def test_a_secret_that_is_none_is_told(here: Installation) -> None:
    assert rotate(here, "session", "--reason", "x") == (
        1,
        "",
        "idp: there is no secret session; these may rotate: otp, csrf\n",
    )


def test_a_rotation_needs_a_reason(here: Installation) -> None:
    assert rotate(here, "csrf")[0] == 2
    code, _, err = rotate(here, "csrf", "--reason", "")
    assert code == 2
    assert "'--reason': must not be empty" in err
    assert len(versions(here)) == len(SERVER_SECRETS)


def test_what_the_servers_could_not_open_is_not_made(here: Installation) -> None:
    here.new_key_encryption_key("b")
    here.seal_with("b")
    code, _, err = rotate(here, "csrf", "--reason", "yearly")
    assert code == 1
    assert err.endswith("under the key-encryption key 'a', which the settings do not name\n")
    assert len(versions(here)) == len(SERVER_SECRETS)
