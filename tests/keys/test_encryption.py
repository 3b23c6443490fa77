"""Encryption to clients, as joserfc on their side reads it."""

import json
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from keys.encryption import (
    CONTENT_ENCRYPTION,
    KEY_MANAGEMENT,
    MAX_ENCRYPTED_CHARACTERS,
    DecryptionKey,
    RecipientKeys,
)
from keys.errors import NoEncryptionKey, UnusableKey
from keys.hashing import b64url, b64url_decode
from keys.signing import MAX_TOKEN_CHARACTERS

RSA = RSAKey.generate_key(2048)
P256 = ECKey.generate_key("P-256")
PAYLOAD = "имя: Анна".encode()


def public(key: Any, **members: object) -> dict[str, Any]:
    return {**key.as_dict(private=False), **members}


def encrypt(*keys: dict[str, Any], alg: str = "ECDH-ES", enc: str = "A256GCM") -> str:
    return RecipientKeys({"keys": list(keys)}).encrypt(PAYLOAD, alg=alg, enc=enc, cty="JWT")


def header_of(token: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads(b64url_decode(token.partition(".")[0]))
    return header


def test_the_algorithms_are_those_that_discovery_names() -> None:
    assert KEY_MANAGEMENT == ("ECDH-ES", "RSA-OAEP-256")
    assert CONTENT_ENCRYPTION == ("A128CBC-HS256", "A256GCM")


@pytest.mark.parametrize("enc", CONTENT_ENCRYPTION)
@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("RSA-OAEP-256", RSA),
        ("RSA-OAEP-256", RSAKey.generate_key(4096)),
        ("ECDH-ES", P256),
        ("ECDH-ES", ECKey.generate_key("P-384")),
        ("ECDH-ES", ECKey.generate_key("P-521")),
        ("ECDH-ES", OKPKey.generate_key("X25519")),
    ],
    ids=["RSA-2048", "RSA-4096", "P-256", "P-384", "P-521", "X25519"],
)
def test_a_client_decrypts_with_its_private_key(alg: str, key: Any, enc: str) -> None:
    token = encrypt(public(key, kid="mine"), alg=alg, enc=enc)

    opened = jwe.decrypt_compact(token, key, algorithms=[alg, enc])

    assert opened.plaintext == PAYLOAD
    assert {name: opened.protected[name] for name in opened.protected if name != "epk"} == {
        "alg": alg,
        "enc": enc,
        "kid": "mine",
        "typ": "JWT",
        "cty": "JWT",
    }


@pytest.mark.parametrize("alg", KEY_MANAGEMENT)
def test_no_other_key_decrypts(alg: str) -> None:
    key, other = (RSA, RSAKey.generate_key(2048)) if alg != "ECDH-ES" else (
        P256, ECKey.generate_key("P-256"),
    )  # fmt: skip
    token = encrypt(public(key), alg=alg)

    with pytest.raises(Exception, match=r"decode_error|[Dd]ecryption"):
        jwe.decrypt_compact(token, other, algorithms=[alg, "A256GCM"])


@pytest.mark.parametrize("alg", KEY_MANAGEMENT)
def test_each_token_has_a_content_key_and_an_initialization_vector_of_its_own(alg: str) -> None:
    tokens = [encrypt(public(P256), public(RSA), alg=alg).split(".") for _ in range(20)]

    assert len({tuple(token[:2]) for token in tokens}) == 20
    assert len({token[2] for token in tokens}) == 20


def test_an_ephemeral_key_has_no_private_part() -> None:
    assert header_of(encrypt(public(P256)))["epk"].keys() == {"kty", "crv", "x", "y"}


def test_what_the_header_need_not_say_is_left_out() -> None:
    keys = RecipientKeys({"keys": [public(RSA)]})

    token = keys.encrypt(PAYLOAD, alg="RSA-OAEP-256", enc="A256GCM")

    assert header_of(token) == {"alg": "RSA-OAEP-256", "enc": "A256GCM", "typ": "JWT"}


# RFC 7517 4.2 to 4.4
@pytest.mark.parametrize(
    "unfit",
    [
        public(P256, kid="unfit", use="sig"),
        public(P256, kid="unfit", alg="ES256"),
        public(P256, kid="unfit", alg="ECDH-ES+A128KW"),
        public(P256, kid="unfit", key_ops=["verify"]),
        public(RSA, kid="unfit"),
        public(ECKey.generate_key("secp256k1"), kid="unfit"),
        public(OKPKey.generate_key("Ed25519"), kid="unfit"),
        public(OKPKey.generate_key("X448"), kid="unfit"),
    ],
)
def test_the_key_that_is_for_the_algorithm_is_taken(unfit: dict[str, Any]) -> None:
    assert header_of(encrypt(unfit, public(P256, kid="fit")))["kid"] == "fit"

    with pytest.raises(NoEncryptionKey, match="no key is for ECDH-ES"):
        encrypt(unfit)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"use": "enc"},
        {"alg": "ECDH-ES"},
        {"use": "enc", "alg": "ECDH-ES", "key_ops": ["deriveKey"]},
        {"key_ops": []},
        {"x5t": "AAAA", "ext": True},
    ],
    ids=str,
)
def test_a_key_may_say_more_or_less_of_itself(members: dict[str, Any]) -> None:
    token = encrypt(public(P256, **members))

    assert jwe.decrypt_compact(token, P256, algorithms=["ECDH-ES", "A256GCM"]).plaintext == PAYLOAD


def test_an_empty_set_has_no_key() -> None:
    for alg in (*KEY_MANAGEMENT, "dir", "RSA1_5"):
        with pytest.raises(NoEncryptionKey):
            encrypt(alg=alg)


# RFC 7748 6.1
def test_a_point_of_small_order_is_no_key() -> None:
    with pytest.raises(NoEncryptionKey, match="agrees on no secret"):
        encrypt({"kty": "OKP", "crv": "X25519", "x": b64url(bytes(32))})


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (P256.as_dict(private=True), "must be public"),
        (RSA.as_dict(private=True), "must be public"),
        (OctKey.generate_key(256).as_dict(), "must be public"),
        (public(P256, k="AAAA"), "must be public"),
        ({"kty": "oct"}, "kty must be EC, OKP or RSA"),
        ({}, "kty must be EC, OKP or RSA"),
        (public(P256, x=b64url(bytes(32))), "not a sound EC key"),
        (public(P256, crv="P-1"), "not a sound EC key"),
        (public(P256, y=1), "not a sound EC key"),
        ({"kty": "RSA", "e": "AQAB"}, "not a sound RSA key"),
        (public(RSA, n=b64url(b"\x81" * 128)), "2048 to 4096 bits"),
        (public(RSA, n=b64url(b"\x81" * 1024)), "2048 to 4096 bits"),
        (public(P256, kid="k" * 201), "kid must be a text"),
        (public(P256, kid=7), "kid must be a text"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_by_its_place(member: dict[str, Any], said: str) -> None:
    with pytest.raises(UnusableKey, match=f"key 2: .*{said}"):
        RecipientKeys({"keys": [public(P256), member]})


@pytest.mark.parametrize("jwks", [{}, {"keys": {}}, {"keys": [[]]}, {"keys": ["x"]}])
def test_what_is_no_jwk_set_is_refused(jwks: dict[str, Any]) -> None:
    with pytest.raises(UnusableKey, match="a list of JWKs"):
        RecipientKeys(jwks)


def test_a_jwk_set_of_more_than_16384_bytes_is_refused() -> None:
    keys = [public(P256, x5c=["M" * 16_000])]
    RecipientKeys({"keys": keys})

    with pytest.raises(UnusableKey, match="longer than 16384 bytes"):
        RecipientKeys({"keys": keys * 2})


def test_our_own_key_takes_the_longest_token_that_is_signed() -> None:
    ours = DecryptionKey.generate()
    signed = b"x" * MAX_TOKEN_CHARACTERS

    for enc in CONTENT_ENCRYPTION:
        token = RecipientKeys({"keys": [dict(ours.public_jwk)]}).encrypt(
            signed, alg="ECDH-ES", enc=enc, cty="JWT"
        )
        assert len(token) <= MAX_ENCRYPTED_CHARACTERS
        assert ours.decrypt(token) == signed
