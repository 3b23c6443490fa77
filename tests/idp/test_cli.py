import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from conf.channels_file import DEMO_CHANNELS, GROUP_CHANNELS, ensure_secret_files
from conf.model import KeyEncryptionKey
from idp import cli
from keys.sealing import create_key_encryption_key, load_key_encryption_key
from storage.child import PrivateTarantool
from tests.idp.conftest import Run

SETTINGS = """
issuer = "https://id.example.com"
directory = "var"
key_encryption_keys = [{ id = "tests", file = "key" }]
store = { memory_bytes = 67108864 }
test_numbers = [{ first = "+79990000000", last = "+79990000009", code = "000000" }]
"""


@pytest.fixture
def config(directory: Path) -> Path:
    create_key_encryption_key(directory / "key")
    path = directory / "idp.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    return path


def commands(group: typer.Typer, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for command in group.registered_commands:
        assert command.callback is not None
        yield (*path, command.name or command.callback.__name__.replace("_", "-"))
    for below in group.registered_groups:
        assert below.typer_instance is not None
        yield from commands(below.typer_instance, (*path, str(below.name)))


@pytest.mark.parametrize("path", list(commands(cli.app)), ids=" ".join)
def test_every_command_explains_itself_with_examples(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli.app, [*path, "--help"])
    assert result.exit_code == 0
    _, _, examples = result.output.partition("Examples:\n")
    lines = examples.strip().splitlines()
    assert lines
    assert all(line.strip().startswith(" ".join(["idp", *path])) for line in lines)


def test_version(run: Run) -> None:
    code, out, _ = run("version")
    assert code == 0
    assert out.startswith("idp ")
    assert json.loads(run("version", "--json")[1]).keys() == {"idp", "python"}


def test_check_finds_nothing_wrong(run: Run, config: Path) -> None:
    assert run("check", "--config", config) == (0, "nothing is wrong\n", "")


def test_check_prints_every_fault_of_every_file(run: Run, config: Path, directory: Path) -> None:
    config.write_text(SETTINGS + 'workers = 0\ncolour = "red"\n', encoding="utf-8")
    channels = directory / "channels.toml"
    channels.write_text("[[channels]]\nid = 'X'\n", encoding="utf-8")
    arguments = ("check", "--config", config, "--channels", channels)
    code, out, _ = run(*arguments)
    assert code == 1
    assert "workers: must be 1..64, a whole number" in out
    assert "colour: unknown key" in out
    assert f"{channels}: channels[X].id: must be lower-case letters" in out
    code, out_json, _ = run(*arguments, "--json")
    assert code == 1
    assert json.loads(out_json)["faults"] == out.splitlines()


def test_check_prints_all_that_is_wrong_with_keys_and_certificates(
    run: Run, config: Path, directory: Path
) -> None:
    keys = '[{ id = "a", file = "no" }, { id = "b", file = "key" }, { id = "c", env = "IDP_NO" }]'
    text = SETTINGS.replace('[{ id = "tests", file = "key" }]', keys)
    config.write_text(text + 'ca_file = "idp.toml"\n', encoding="utf-8")
    (directory / "key").write_text("x", encoding="utf-8")
    code, out, _ = run("check", "--config", config)
    assert code == 1
    assert [line.partition(": ")[0] for line in out.splitlines()] == [
        "key_encryption_keys[a].file",
        "key_encryption_keys[b].file",
        "key_encryption_keys[c].env",
        f"{config} holds no certificates",
    ]


def test_check_judges_the_clients_metadata(run: Run, config: Path, directory: Path) -> None:
    ensure_secret_files([DEMO_CHANNELS], directory / "var" / "secrets")
    wrong = directory / "channels.toml"
    text = DEMO_CHANNELS.read_text(encoding="utf-8")
    text = text.replace('logo = "logos', f'logo = "{DEMO_CHANNELS.parent}/logos')
    wrong.write_text(text.replace('"code"]', '"token"]'), encoding="utf-8")
    code, out, _ = run("check", "--config", config, "--channels", wrong)
    assert code == 1
    assert "demo: " in out
    assert "response_types" in out


def test_check_warns_of_a_text_that_is_paid_for_twice(
    run: Run, config: Path, directory: Path
) -> None:
    ensure_secret_files([GROUP_CHANNELS], directory / "var" / "secrets")
    text = GROUP_CHANNELS.read_text(encoding="utf-8")
    text = text.replace('"logos/', f'"{GROUP_CHANNELS.parent}/logos/')
    file = directory / "channels.toml"
    arguments = ("check", "--config", config, "--channels", file)
    file.write_text(text, encoding="utf-8")
    assert run(*arguments) == (0, "nothing is wrong\n", "")
    file.write_text(text.replace("не говорите", "не говорите " * 2, 1), encoding="utf-8")
    code, out, err = run(*arguments)
    assert (code, out) == (0, "nothing is wrong\n")
    assert re.fullmatch(
        r"idp: warning: [a-z-]+: messages.one_time_code.ru is, with its last line, \d+ characters "
        r"too long for one SMS and paid for as 2\n",
        err,
    )
    warnings = json.loads(run(*arguments, "--json")[1])["warnings"]
    assert [f"idp: warning: {it}\n" for it in warnings] == [err]


def test_check_without_a_file_is_a_usage_error(run: Run) -> None:
    assert run("check")[0] == 2


@pytest.mark.parametrize("arguments", [("serve",), ("check",)])
def test_a_fault_of_the_settings_is_told_without_a_traceback(
    arguments: tuple[str, ...], run: Run, config: Path
) -> None:
    (config.parent / "key").chmod(0o644)
    code, out, err = run(*arguments, "--config", config)
    assert code == 1
    assert "is open to other users" in out + err
    assert "Traceback" not in out + err


def test_channels_are_applied_while_no_server_runs_and_beside_one(
    run: Run, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_secret_files([DEMO_CHANNELS], directory / "var" / "secrets")
    arguments = ("channels", "apply", DEMO_CHANNELS, "--directory", directory / "var")
    code, out, _ = run(*arguments)
    assert code == 0
    assert out.splitlines()[0] == "+ channel demo"
    assert out.splitlines()[-1] == "applied as revision 1"
    server = PrivateTarantool(directory / "var" / "store", 2**26)
    server.start()
    try:
        code, out, _ = run(*arguments, "--json")
        assert code == 0
        assert json.loads(out) == {"revision": None, "differences": [], "objections": []}
        assert server.alive()
    finally:
        server.stop()


def test_channels_that_cannot_be_are_told_and_change_nothing(run: Run, directory: Path) -> None:
    code, _, err = run("channels", "apply", DEMO_CHANNELS, "--directory", directory / "var")
    assert code == 1
    assert err.count(f"{directory}/var/secrets/demo cannot be read") == 1
    assert not (directory / "var").exists()


def test_an_encryption_key_is_made_once(run: Run, directory: Path) -> None:
    path = directory / "key"
    told = f"{path} is made: keep a second copy at another place\n"
    assert run("keys", "create-encryption-key", path) == (0, told, "")
    source = KeyEncryptionKey("tests", file=path)
    key = load_key_encryption_key(source)
    assert run("keys", "create-encryption-key", path) == (
        1,
        "",
        f"idp: {path} cannot be made: File exists\n",
    )
    assert load_key_encryption_key(source) == key
