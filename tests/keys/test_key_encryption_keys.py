"""Where key-encryption keys come from: files, environment variables, commands."""

import base64
import os
import stat
import sys
from pathlib import Path

import pytest

from conf.model import KeyEncryptionKey
from keys.errors import SealError
from keys.hashing import b64url
from keys.key_command import output_of
from keys.sealing import create_key_encryption_key, load_key_encryption_key, load_sealer
from tests.process.processes import ended, eventually

KEY = bytes(range(32))
WRONG_FORMS = [
    b"",
    b64url(KEY[:31]).encode(),
    b64url(KEY + b"x").encode(),
    base64.b64encode(bytes([255] * 32)),
    KEY.hex().encode(),
    bytes([255] * 32),
]


def from_file(path: Path) -> KeyEncryptionKey:
    return KeyEncryptionKey("a", file=path)


def from_command(*command: str) -> KeyEncryptionKey:
    return KeyEncryptionKey("a", command=command)


def fault(key: KeyEncryptionKey) -> str:
    with pytest.raises(SealError) as caught:
        load_key_encryption_key(key)
    said = str(caught.value)
    assert "\n" not in said
    assert b64url(KEY)[:8] not in said
    return said


def test_a_created_key_is_private_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "key"

    create_key_encryption_key(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(load_key_encryption_key(from_file(path))) == 32


def test_two_created_keys_differ(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        create_key_encryption_key(path)

    assert load_key_encryption_key(from_file(one)) != load_key_encryption_key(from_file(two))


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_key_encryption_key(path)
    before = path.read_bytes()

    with pytest.raises(FileExistsError):
        create_key_encryption_key(path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_line_end_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(b64url(KEY) + end, newline="")
    monkeypatch.setenv("IDP_TEST_KEY", b64url(KEY) + end)

    assert load_key_encryption_key(from_file(path)) == KEY
    assert load_key_encryption_key(KeyEncryptionKey("a", env="IDP_TEST_KEY")) == KEY
    assert load_key_encryption_key(from_command("cat", str(path))) == KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o777])
def test_a_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    create_key_encryption_key(path)
    path.chmod(mode)

    assert fault(from_file(path)) == (
        f"key_encryption_keys[a].file: {path} is open to other users (mode {mode:04o}): "
        "make it 0600"
    )


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent"

    assert fault(from_file(path)) == (
        f"key_encryption_keys[a].file: {path} cannot be read: {os.strerror(2)}"
    )


@pytest.mark.parametrize("content", [*WRONG_FORMS, b"A" * 100_000])
def test_a_file_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(content)

    assert fault(from_file(path)) == (
        f"key_encryption_keys[a].file: {path} must hold 32 bytes as base64url without padding"
    )


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IDP_TEST_KEY", raising=False)

    assert fault(KeyEncryptionKey("a", env="IDP_TEST_KEY")) == (
        "key_encryption_keys[a].env: the environment variable IDP_TEST_KEY is not set"
    )


@pytest.mark.parametrize("content", WRONG_FORMS)
def test_a_variable_of_another_form_is_refused(
    monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setitem(os.environb, b"IDP_TEST_KEY", content)

    assert fault(KeyEncryptionKey("a", env="IDP_TEST_KEY")) == (
        "key_encryption_keys[a].env: the environment variable IDP_TEST_KEY must hold 32 bytes "
        "as base64url without padding"
    )


@pytest.mark.parametrize("content", WRONG_FORMS)
def test_output_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "output"
    path.write_bytes(content)

    assert fault(from_command("cat", str(path))) == (
        "key_encryption_keys[a].command: the output of cat must hold 32 bytes "
        "as base64url without padding"
    )


def test_a_command_is_not_read_by_a_shell(tmp_path: Path) -> None:
    for command in (("true; touch made",), ("echo", "$(touch made)"), ("echo", ">made")):
        fault(from_command(*(part.replace("made", str(tmp_path / "made")) for part in command)))

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("/nowhere/vault", "read"), "/nowhere/vault cannot be run: No such file or directory"),
        (("vault", "\0"), "vault cannot be run: not a command"),
        (("false",), "false failed with exit code 1"),
        (("sh", "-c", "kill -TERM $$"), "sh was ended by signal 15"),
        (
            ("sh", "-c", "echo; echo ' permission denied '; echo more >&2"),
            "the output of sh must hold 32 bytes as base64url without padding",
        ),
        (
            (
                "sh",
                "-c",
                "echo token-of-vault; printf '\\n permission\\033 denied\\nmore' >&2; exit 3",
            ),
            "sh failed with exit code 3: permission denied",
        ),
        (("sh", "-c", "cat /dev/zero"), "sh wrote more than 64 bytes"),
    ],
)
def test_a_command_that_fails_is_told_in_one_line_without_its_arguments_and_output(
    command: tuple[str, ...], what: str
) -> None:
    assert fault(from_command(*command)) == f"key_encryption_keys[a].command: {what}"


def test_little_is_quoted_of_a_long_complaint() -> None:
    command = ("sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1")

    assert fault(from_command(*command)) == (
        f"key_encryption_keys[a].command: sh failed with exit code 1: {'x' * 200}"
    )


@pytest.mark.parametrize(
    "script",
    [
        "echo $$ >{pid}; exec sleep 60",
        "sleep 60 & echo $! >{pid}",
        "echo $$ >{pid}; exec >&- 2>&-; exec sleep 60",
        "echo $$ >{pid}; while :; do echo complaint >&2; done",
    ],
)
def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(
    tmp_path: Path, script: str
) -> None:
    pid = tmp_path / "pid"

    with pytest.raises(SealError, match="sh did not end within 1 seconds"):
        output_of(("sh", "-c", script.format(pid=pid)), most_bytes=64, seconds=1)

    eventually(lambda: ended(int(pid.read_text())), "what the command started has ended")


def test_a_command_reads_nothing_from_the_terminal() -> None:
    assert output_of(("cat",), most_bytes=64) == b""


def test_a_command_gets_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDP_TEST_TOKEN", "abc")

    script = "import os; print(os.environ['IDP_TEST_TOKEN'])"
    assert output_of((sys.executable, "-c", script), most_bytes=64) == b"abc\n"


def test_the_faults_of_all_keys_are_told_together(tmp_path: Path) -> None:
    good = tmp_path / "key"
    create_key_encryption_key(good)
    keys = [
        KeyEncryptionKey("good", file=good),
        KeyEncryptionKey("absent", file=tmp_path / "absent"),
        KeyEncryptionKey("failing", command=("false",)),
    ]

    with pytest.raises(SealError) as caught:
        load_sealer(keys)

    assert [it.split(":")[0] for it in caught.value.faults] == [
        "key_encryption_keys[absent].file",
        "key_encryption_keys[failing].command",
    ]
    assert str(caught.value) == "; ".join(caught.value.faults)


def test_a_key_that_is_configured_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_key_encryption_key(path)
    keys = [KeyEncryptionKey("a", file=path), KeyEncryptionKey("b", command=("cat", str(path)))]

    with pytest.raises(SealError, match="'a' and 'b' are the same key"):
        load_sealer(keys)


def test_the_order_of_the_settings_decides_which_key_seals(tmp_path: Path) -> None:
    keys = []
    for name in ("z", "a"):
        create_key_encryption_key(tmp_path / name)
        keys.append(KeyEncryptionKey(name, file=tmp_path / name))

    assert load_sealer(keys).key_id == "z"
