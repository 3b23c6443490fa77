import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.hashing import (
    b64url,
    b64url_decode,
    derive,
    left_half_hash,
    random_id,
    random_secret,
    sha256,
)


@given(st.binary(max_size=100))
def test_base64url_has_no_padding_and_comes_back(data: bytes) -> None:
    text = b64url(data)

    assert "=" not in text
    assert b64url_decode(text) == data


# RFC 7515 appendix C
def test_base64url_is_that_of_the_rfc() -> None:
    assert b64url(bytes([3, 236, 255, 224, 193])) == "A-z_4ME"


@pytest.mark.parametrize(
    "text", ["A-z_4ME=", "A+z/4ME", "A-z_4MF", "A-z_4ME\n", "A-z_ 4ME", "A", "AAAAA", "Ж", "\ud800"]
)
def test_only_the_canonical_base64url_is_decoded(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any ValueError is what callers catch
        b64url_decode(text)


def test_a_text_is_hashed_as_utf8() -> None:
    assert sha256("код") == sha256("код".encode()) == hashlib.sha256("код".encode()).digest()


# OIDC Core A.3 and A.4
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"),
        (
            "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk",
            "LDktKdoQak3Pk0cnXxCltA",
        ),
    ],
)
def test_the_left_half_hash_is_that_of_the_specification(value: str, expected: str) -> None:
    assert left_half_hash(value, "RS256") == expected


@pytest.mark.parametrize(
    ("alg", "name"),
    [
        ("ES256", "sha256"),
        ("PS256", "sha256"),
        ("HS256", "sha256"),
        ("RS384", "sha384"),
        ("ES384", "sha384"),
        ("ES512", "sha512"),
        ("EdDSA", "sha512"),
    ],
)
def test_the_left_half_hash_uses_the_hash_of_the_algorithm(alg: str, name: str) -> None:
    digest = hashlib.new(name, b"token").digest()

    assert b64url_decode(left_half_hash("token", alg)) == digest[: len(digest) // 2]


@pytest.mark.parametrize("alg", ["none", "Ed448", ""])
def test_an_algorithm_whose_hash_is_not_known_is_refused(alg: str) -> None:
    with pytest.raises(ValueError, match="hash of algorithm"):
        left_half_hash("token", alg)


def test_random_values_have_their_length_and_do_not_repeat() -> None:
    ids = {random_id() for _ in range(1000)}
    secrets = {random_secret() for _ in range(1000)}

    assert len(ids) == len(secrets) == 1000
    assert {len(b64url_decode(value)) for value in ids} == {16}
    assert {len(b64url_decode(value)) for value in secrets} == {32}


def test_a_derived_secret_is_hmac_over_parts_with_their_lengths() -> None:
    message = b"\0\0\0\x03otp" + b"\0\0\0\x02\xd0\xb6"

    assert derive(b"key", "otp", "ж") == hmac.digest(b"key", message, "sha256")


def test_parts_cannot_be_shifted_into_each_other() -> None:
    derived = {
        derive(b"key", "ab", "c"),
        derive(b"key", "a", "bc"),
        derive(b"key", "abc"),
        derive(b"key", "abc", ""),
        derive(b"other", "abc"),
    }

    assert len(derived) == 5
