"""What docs/integrate.md tells operators to write is what the commands take."""

import shlex
from pathlib import Path

import pytest

from conf.channels_file import DEMO_CHANNELS, ensure_secret_files
from tests import guide
from tests.idp.conftest import Run
from tests.idp.installation import Installation


@pytest.fixture
def shop(directory: Path) -> Path:
    """The channels file of the guide, with its logo."""
    (directory / "logos").mkdir()
    demo = DEMO_CHANNELS.parent / "logos" / "demo.svg"
    (directory / "logos" / "shop.svg").write_bytes(demo.read_bytes())
    file = directory / "shop.toml"
    file.write_text(guide.channels_file(), encoding="utf-8")
    return file


def test_the_channels_file_passes_the_check(
    shop: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.parent)
    ensure_secret_files([shop], Path("var/secrets"))
    assert run("check", "--channels", shop) == (0, "nothing is wrong\n", "")


def test_the_operators_commands_are_understood(here: Installation, run: Run) -> None:
    said = [line for block in guide.blocks("console") for line in commands(block)]
    create = next(
        words for words in said if words[:4] == ["idp", "registration", "tokens", "create"]
    )
    assert create[-2] == "--config"
    code, out, err = run(*create[1:-1], here.config)
    assert (code, err) == (0, "")
    assert "initial access token" in out


def commands(console: str) -> list[list[str]]:
    """The commands of a block, in words."""
    lines = console.replace("\\\n", " ").splitlines()
    return [shlex.split(it.removeprefix("$ ")) for it in lines if it.startswith("$ ")]
