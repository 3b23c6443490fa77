"""`idp keys` with a hardware security module: SoftHSM's, in a directory of the test's own."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.idp.installation import Installation

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")


@pytest.fixture
def tokens(here: Installation, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where SoftHSM keeps its tokens; the settings name the only one."""
    tokens = here.directory / "tokens"
    tokens.mkdir()
    configuration = here.directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    command = "softhsm2-util --init-token --free --label idp --pin 1234 --so-pin 5678"
    subprocess.run(command.split(), check=True, capture_output=True)
    settings = f'hsm = {{ module = "{MODULE}", token_label = "idp", pin = "1234" }}\n'
    here.config.write_text(settings + here.config.read_text())
    return tokens


def test_a_key_is_made_in_the_module_and_so_are_those_after_it(
    here: Installation, tokens: Path
) -> None:
    here.done("generate", "ES256", "--hsm", "--reason", "moving into the module")
    kid = here.kid("next")
    assert here.row(kid)["hsm"]
    assert re.search(f"{kid} +hsm ", here.done("list"))
    assert "in the hardware security module" in here.done("show", kid)
    here.done("rotate", "ES256", "--force", "--reason", "moving into the module")
    assert here.kid("active") == kid
    assert here.row(here.kid("next"))["hsm"]


def test_a_key_is_revoked_also_without_its_module(here: Installation, tokens: Path) -> None:
    here.done("generate", "ES256", "--hsm")
    here.done("rotate", "ES256", "--force", "--reason", "moving into the module")
    active, waiting = here.kid("active"), here.kid("next")
    shutil.rmtree(tokens)
    said = here.refused("generate", "ES256", "--hsm")

    code, out, err = here.keys("revoke", active, "--reason", "leaked", "--yes")

    assert (code, out) == (0, f"{active} is revoked\n")
    told, young = err.splitlines()
    assert told == f"idp: {said}; a running server makes the next key by itself"
    assert young.startswith(f"idp: {waiting} signs now and is published for only ")
    assert here.kid("active") == waiting
