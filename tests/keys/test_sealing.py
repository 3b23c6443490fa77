import base64
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import SealError
from keys.hashing import b64url
from keys.sealing import Sealer, create_key_encryption_key, load_key_encryption_key

KEY = bytes(range(32))
SEALER = Sealer(KEY)


@given(st.binary(max_size=300), st.text(max_size=60).filter(lambda text: text.isprintable()))
def test_what_was_sealed_opens_under_its_label(plaintext: bytes, label: str) -> None:
    assert SEALER.open(SEALER.seal(plaintext, label=label), label=label) == plaintext


def test_the_same_plaintext_is_sealed_differently_each_time() -> None:
    assert len({SEALER.seal(b"secret", label="otp|1") for _ in range(100)}) == 100


def test_a_sealed_value_does_not_open_under_another_label() -> None:
    sealed = SEALER.seal(b"secret", label="otp|1")

    with pytest.raises(SealError, match=r"csrf\|1 cannot be opened"):
        SEALER.open(sealed, label="csrf|1")


def test_another_key_encryption_key_is_named() -> None:
    other = Sealer(bytes(32))
    sealed = other.seal(b"secret", label="otp|1")

    with pytest.raises(SealError, match=f"'{other.key_id}', but .* is '{SEALER.key_id}'"):
        SEALER.open(sealed, label="otp|1")


def test_any_changed_character_is_noticed() -> None:
    sealed = SEALER.seal(b"secret", label="otp|1")

    for position, character in enumerate(sealed):
        changed = sealed[:position] + ("A" if character != "A" else "B") + sealed[position + 1 :]
        with pytest.raises(SealError):
            SEALER.open(changed, label="otp|1")


@pytest.mark.parametrize("body", ["", "A", "AAAA", "A" * 16, "=", "Ж", "!" * 80])
def test_a_broken_sealed_value_is_refused(body: str) -> None:
    with pytest.raises(SealError, match="cannot be opened"):
        SEALER.open(f"{SEALER.key_id}.{body}", label="otp|1")


@pytest.mark.parametrize("sealed", ["", ".", "in-the-clear", "x" * 5000, "630DCD29.AAAA"])
def test_what_is_not_a_sealed_value_is_refused_and_not_quoted(sealed: str) -> None:
    with pytest.raises(SealError) as caught:
        SEALER.open(sealed, label="otp|1")

    assert str(caught.value) == "otp|1 is not a sealed value"


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(SealError, match=f"has 32 bytes, this one {length}"):
        Sealer(bytes(length))


def test_a_sealer_shows_only_the_id_of_its_key() -> None:
    # SHA-256 of the 32 bytes 00, 01, ... 1f begins with these digits.
    assert repr(SEALER) == "Sealer(key_id='630dcd29')"


def test_a_created_key_is_private_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "key"

    create_key_encryption_key(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(load_key_encryption_key(path)) == 32


def test_two_created_keys_differ(tmp_path: Path) -> None:
    for name in ("one", "two"):
        create_key_encryption_key(tmp_path / name)

    assert load_key_encryption_key(tmp_path / "one") != load_key_encryption_key(tmp_path / "two")


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_key_encryption_key(path)
    before = path.read_bytes()

    with pytest.raises(FileExistsError):
        create_key_encryption_key(path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o777])
def test_a_key_file_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    create_key_encryption_key(path)
    path.chmod(mode)

    with pytest.raises(SealError, match=f"open to other users .mode {mode:04o}.: make it 0600"):
        load_key_encryption_key(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b64url(KEY[:31]).encode(),
        b64url(KEY + b"x").encode(),
        base64.b64encode(bytes([255] * 32)),
        KEY.hex().encode(),
        bytes([255] * 32),
        b"A" * 100_000,
    ],
)
def test_a_key_file_of_another_form_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(content)

    with pytest.raises(
        SealError, match="must hold 32 bytes as base64url without padding"
    ) as caught:
        load_key_encryption_key(path)

    assert b64url(KEY)[:8] not in str(caught.value)


def test_a_line_end_in_the_key_file_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.touch(0o600)

    for end in ("", "\n", "\r\n"):
        path.write_text(b64url(KEY) + end, newline="")
        assert load_key_encryption_key(path) == KEY


def test_an_absent_key_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "absent"

    with pytest.raises(SealError, match=f"{path} cannot be read: {os.strerror(2)}"):
        load_key_encryption_key(path)
