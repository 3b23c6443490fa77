"""The signature itself: one that is not the key's own, in its one spelling, is wrong."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc.jws import JWSRegistry

from keys.hashing import b64url, b64url_decode
from keys.signing import ALGORITHMS, SigningKey
from tests.keys.forging import (
    BY_ALG,
    EDDSA,
    ES256,
    ES384,
    PS256,
    RS256,
    forge,
    header,
    reason,
    signed,
)

# The orders of the groups: FIPS 186-4 D.1.2.3 and D.1.2.4, RFC 8032 5.1.
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P384_ORDER = (1 << 384) - 0x389CB27E0BC8D220A7E5F24DB74F58851313E695333AD68D
ED25519_ORDER = (1 << 252) + 27742317777372353535851937790883648493


def resigned(token: str, signature: bytes) -> str:
    return f"{token.rpartition('.')[0]}.{b64url(signature)}"


def signature_of(token: str) -> bytes:
    return b64url_decode(token.rpartition(".")[2])


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_any_changed_character_is_noticed(alg: str) -> None:
    token = signed(BY_ALG[alg], b'{"sub":"customer"}')

    for position, character in enumerate(token):
        changed = token[:position] + ("A" if character != "A" else "B") + token[position + 1 :]
        assert reason(changed)


@pytest.mark.parametrize(
    "signature",
    [b"\0", b"\0" * 64, b"\xff" * 64, b"\0" * 63, b"\0" * 65, b"\0" * 256, b"\xff" * 256],
)
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_degenerate_signature_is_wrong(alg: str, signature: bytes) -> None:
    token = signed(BY_ALG[alg])

    assert reason(f"{token.rpartition('.')[0]}.{b64url(signature)}") == "signature is wrong"


def test_segments_of_two_tokens_do_not_mix() -> None:
    ours = signed().split(".")
    other = signed(payload=b'{"sub":"admin"}').split(".")

    assert reason(".".join([ours[0], other[1], ours[2]])) == "signature is wrong"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_signature_of_another_length_is_wrong(alg: str) -> None:
    token = signed(BY_ALG[alg])
    whole = signature_of(token)

    for octets in (whole[:-1], whole[1:], whole[: len(whole) // 2], whole[:1]):
        assert reason(resigned(token, octets)) == "signature is wrong"
    for octets in (whole + b"\0", b"\0" + whole, whole + whole):
        assert reason(resigned(token, octets)) == "signature is wrong"


# 64 bytes leave four bits of the last character unused: 16 spellings of one signature.
def test_a_signature_has_one_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = signed()
    unused = alphabet.index(token[-1])

    for stray in range(1, 16):
        respelled = token[:-1] + alphabet[unused + stray]
        assert reason(respelled) == "not canonical base64url"


# RFC 7518 3.4: the signature is R and S side by side; DER would be a second spelling.
@pytest.mark.parametrize("key", [ES256, ES384], ids=["ES256", "ES384"])
def test_a_der_signature_is_wrong(key: SigningKey) -> None:
    token = signed(key)
    pair = signature_of(token)
    half = len(pair) // 2
    der = encode_dss_signature(int.from_bytes(pair[:half]), int.from_bytes(pair[half:]))

    assert reason(resigned(token, der)) == "signature is wrong"


# FIPS 186-4 4.7: R and S are from 1 to the order less 1. Who takes 0 believes anybody.
@pytest.mark.parametrize(
    ("key", "order"), [(ES256, P256_ORDER), (ES384, P384_ORDER)], ids=["ES256", "ES384"]
)
def test_an_ecdsa_signature_out_of_range_is_wrong(key: SigningKey, order: int) -> None:
    token = signed(key)
    pair = signature_of(token)
    half = len(pair) // 2
    r, s = int.from_bytes(pair[:half]), int.from_bytes(pair[half:])
    assert r < order > s

    for bad_r, bad_s in (
        (0, s), (r, 0), (0, 0), (order, s), (r, order), (order, order),
        (0, order), (order, 0), (1, 0), (0, 1),
    ):  # fmt: skip
        octets = bad_r.to_bytes(half) + bad_s.to_bytes(half)
        assert reason(resigned(token, octets)) == "signature is wrong"


# RFC 8032 5.1.7: S is less than the order, else one signature would have several spellings.
def test_an_eddsa_signature_has_one_s() -> None:
    token = signed(EDDSA)
    r, s = signature_of(token)[:32], int.from_bytes(signature_of(token)[32:], "little")

    multiples = [s + n * ED25519_ORDER for n in range(1, 16)]
    assert len(multiples) == 15
    for other in multiples:
        octets = r + other.to_bytes(32, "little")
        assert reason(resigned(token, octets)) == "signature is wrong"


# With R and the public key of small order, S = 0 would sign everything.
@pytest.mark.parametrize(
    "low_order",
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    ],
)
def test_an_eddsa_signature_of_small_order_is_wrong(low_order: str) -> None:
    token = signed(EDDSA)

    for s in (bytes(32), signature_of(token)[32:]):
        assert reason(resigned(token, bytes.fromhex(low_order) + s)) == "signature is wrong"


# One RSA key makes signatures of both schemes; the registered one alone counts.
@pytest.mark.parametrize(
    ("key", "other"), [(RS256, "PS256"), (PS256, "RS256"), (RS256, "RS512"), (PS256, "PS512")]
)
def test_an_rsa_signature_of_another_scheme_is_wrong(key: SigningKey, other: str) -> None:
    token = forge(header(key), by=key)
    signing_input = token.rpartition(".")[0].encode()
    octets = JWSRegistry(algorithms=[other]).get_alg(other).sign(signing_input, key._key)

    assert reason(resigned(token, octets)) == "signature is wrong"


# RFC 8017 8.2.2: PKCS #1 v1.5 signatures are compared as a whole, so nothing hides in the padding.
def test_an_rsa_signature_that_is_not_less_than_the_modulus_is_wrong() -> None:
    token = signed(RS256)
    modulus = int.from_bytes(b64url_decode(str(RS256.public_jwk["n"])))
    value = int.from_bytes(signature_of(token))

    for other in (modulus, modulus - value, modulus + value, 0, 1):
        octets = other.to_bytes(257).removeprefix(b"\0")
        assert reason(resigned(token, octets)) == "signature is wrong"
