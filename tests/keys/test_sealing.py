import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import SealError
from keys.hashing import b64url, b64url_decode
from keys.sealing import Sealer, key_id_of

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
SEALER = Sealer({"new": NEW, "old": OLD})


@given(st.binary(max_size=300), st.text(max_size=60).filter(lambda text: text.isprintable()))
def test_what_was_sealed_opens_under_its_label(plaintext: bytes, label: str) -> None:
    assert SEALER.open(SEALER.seal(plaintext, label=label), label=label) == plaintext


def test_the_same_plaintext_is_sealed_differently_each_time() -> None:
    assert len({SEALER.seal(b"secret", label="otp|1") for _ in range(100)}) == 100


def test_the_first_key_seals_and_all_open() -> None:
    sealed_with_old = Sealer({"old": OLD}).seal(b"secret", label="otp|1")
    sealed_with_new = SEALER.seal(b"secret", label="otp|1")

    assert (key_id_of(sealed_with_old), key_id_of(sealed_with_new)) == ("old", "new")
    assert SEALER.key_id == "new"
    assert SEALER.open(sealed_with_old, label="otp|1") == b"secret"
    assert Sealer({"new": NEW}).open(sealed_with_new, label="otp|1") == b"secret"


def test_a_resealed_value_needs_the_old_key_no_more() -> None:
    sealed = Sealer({"old": OLD}).seal(b"secret", label="otp|1")

    resealed = SEALER.reseal(sealed, label="otp|1")

    assert resealed is not None
    assert Sealer({"new": NEW}).open(resealed, label="otp|1") == b"secret"


def test_what_the_first_key_sealed_is_not_sealed_again() -> None:
    assert SEALER.reseal(SEALER.seal(b"secret", label="otp|1"), label="otp|1") is None


def test_what_does_not_open_is_not_sealed_again() -> None:
    sealed = Sealer({"old": OLD}).seal(b"secret", label="otp|1")

    with pytest.raises(SealError, match=r"csrf\|1 cannot be opened"):
        SEALER.reseal(sealed, label="csrf|1")


def test_a_sealed_value_does_not_open_under_another_label() -> None:
    sealed = SEALER.seal(b"secret", label="otp|1")

    with pytest.raises(SealError, match=r"csrf\|1 cannot be opened"):
        SEALER.open(sealed, label="csrf|1")


def test_an_absent_key_is_named() -> None:
    sealed = SEALER.seal(b"secret", label="otp|1")

    with pytest.raises(SealError) as caught:
        Sealer({"old": OLD}).open(sealed, label="otp|1")

    assert str(caught.value) == (
        "otp|1 is sealed under the key-encryption key 'new', which the settings do not name"
    )


def test_the_wrong_key_under_the_right_id_is_told_from_a_changed_value() -> None:
    sealed = SEALER.seal(b"secret", label="otp|1")

    with pytest.raises(SealError) as caught:
        Sealer({"new": OLD}).open(sealed, label="otp|1")

    assert str(caught.value) == (
        "otp|1 is sealed under another key than the one that is now called 'new'"
    )


def test_the_id_of_the_key_is_authenticated() -> None:
    _, body = SEALER.seal(b"secret", label="otp|1").split(".")

    with pytest.raises(SealError, match="cannot be opened"):
        Sealer({"renamed": NEW}).open(f"renamed.{body}", label="otp|1")


def test_any_changed_character_is_noticed() -> None:
    sealed = SEALER.seal(b"secret", label="otp|1")

    for position, character in enumerate(sealed):
        changed = sealed[:position] + ("A" if character != "A" else "B") + sealed[position + 1 :]
        with pytest.raises(SealError):
            SEALER.open(changed, label="otp|1")


def test_every_shortened_value_is_refused() -> None:
    _, body = SEALER.seal(b"", label="otp|1").split(".")
    data = b64url_decode(body)

    for length in range(1, len(data)):
        with pytest.raises(SealError, match="cannot be opened"):
            SEALER.open(f"new.{b64url(data[:length])}", label="otp|1")


@pytest.mark.parametrize(
    "sealed",
    ["", ".", "new", "new.", ".AAAA", "in-the-clear", "x" * 5000, "new.AA==", "new.Ж", "a b.AAAA"],
)
def test_what_is_not_a_sealed_value_is_refused_and_not_quoted(sealed: str) -> None:
    with pytest.raises(SealError) as caught:
        SEALER.open(sealed, label="otp|1")
    assert str(caught.value) == "otp|1 is not a sealed value"

    with pytest.raises(SealError) as caught:
        key_id_of(sealed)
    assert str(caught.value) == "this is not a sealed value"


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(SealError, match=f"'short' must have 32 bytes, not {length}"):
        Sealer({"new": NEW, "short": bytes(length)})


def test_the_same_key_under_two_ids_is_refused() -> None:
    with pytest.raises(SealError) as caught:
        Sealer({"new": NEW, "old": OLD, "again": NEW})

    assert str(caught.value) == "the key-encryption keys 'new' and 'again' are the same key"


def test_a_sealer_without_a_key_is_refused() -> None:
    with pytest.raises(SealError, match="there is no key-encryption key"):
        Sealer({})


def test_a_sealer_shows_only_the_ids_of_its_keys() -> None:
    assert repr(SEALER) == "Sealer(key_ids=['new', 'old'])"
