"""JWTs that others sign: taken apart without trust, and proven by one registered key or secret."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from keys.assertions import Assertion
from keys.errors import InvalidToken
from keys.hashing import b64url
from keys.signing import ALGORITHMS, SigningKey
from tests.keys.forging import BY_ALG, CLAIMS, ES256, ES384, PAYLOAD, RS256, forge

HEADER = {"alg": "ES256", "kid": "k1", "typ": "JWT"}


def public(key: SigningKey = ES256, **changed: Any) -> dict[str, Any]:
    members = {"kty", "crv", "x", "y", "n", "e"}
    jwk = {name: value for name, value in key.public_jwk.items() if name in members}
    return jwk | {"kid": "k1"} | changed


def jwks(*members: Mapping[str, Any]) -> dict[str, Any]:
    return {"keys": list(members)}


def refusal(token: str, keys: Mapping[str, Any] | None = None) -> str:
    with pytest.raises(InvalidToken) as caught:
        Assertion.read(token).check_signature(jwks(public()) if keys is None else keys)
    return caught.value.reason


def without_kid(key: SigningKey = ES256) -> str:
    return forge({"alg": key.alg}, by=key)


@pytest.mark.parametrize("key", BY_ALG.values(), ids=ALGORITHMS)
def test_every_algorithm_is_proven_by_its_key(key: SigningKey) -> None:
    assertion = Assertion.read(forge({"alg": key.alg, "kid": "k1"}, by=key))
    assertion.check_signature(jwks(public(key)))
    assert assertion.claims == CLAIMS
    assert (assertion.alg, assertion.kid, assertion.typ) == (key.alg, "k1", None)


@pytest.mark.parametrize(
    ("typ", "read"),
    [
        ("JWT", "jwt"),
        ("application/Client-Authentication+JWT", "client-authentication+jwt"),
        ("", ""),
    ],
)
def test_a_type_is_compared_as_a_media_type(typ: str, read: str) -> None:
    assert Assertion.read(forge(HEADER | {"typ": typ})).typ == read


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "a.b",
        "e30.e30.e30.e30",
        forge(HEADER) + "=",
        forge(HEADER).replace(".", ". ", 1),
        "\u0430.\u0430.\u0430",
        forge(b"[]"),
        forge(b"{}"),
        forge(b'{"alg": 1}'),
        forge(b'{"alg": "ES256", "kid": 1}'),
        forge(b'{"alg": "ES256", "kid": "k1", "typ": []}'),
        forge(b"\xff"),
        forge(HEADER | {"crit": ["b64"], "b64": False}),
        forge(HEADER | {"crit": None}),
        forge(HEADER, b"[]"),
        forge(HEADER, b"null"),
        forge(HEADER, b"{"),
        forge(HEADER, b"[" * 6_000),
        forge(HEADER, b'{"exp": 1e999}'),
        forge(HEADER, PAYLOAD + b" " * 8_192),
    ],
)
def test_what_is_no_assertion_is_not_read(token: str) -> None:
    with pytest.raises(InvalidToken):
        Assertion.read(token)


def test_a_signature_of_another_key_or_of_other_claims_proves_nothing() -> None:
    assert refusal(forge(HEADER, by=SigningKey.generate("ES256"))) == "signature is wrong"
    header, _, signature = forge(HEADER).split(".")
    forged = f"{header}.{b64url(json.dumps(CLAIMS | {'sub': 'admin'}).encode())}.{signature}"
    assert refusal(forged) == "signature is wrong"
    assert refusal(f"{forged.rpartition('.')[0]}.") == "signature is wrong"


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "HS512", "ES512", "RSA1_5", ""])
def test_no_other_algorithm_is_proven_by_a_public_key(alg: str) -> None:
    assert refusal(forge(HEADER | {"alg": alg})) == "alg is not accepted here"


def test_a_key_that_the_header_brings_is_not_looked_at() -> None:
    attacker = SigningKey.generate("ES256")
    brought = {
        "jwk": public(attacker),
        "jku": "https://evil.example/jwks",
        "x5u": "https://evil.example/cert",
        "x5c": ["MIIB"],
    }
    assert refusal(forge(HEADER | brought, by=attacker)) == "signature is wrong"
    Assertion.read(forge(HEADER | brought)).check_signature(jwks(public()))


def test_a_mac_with_a_public_key_proves_nothing() -> None:
    assertion = Assertion.read(forge(HEADER | {"alg": "HS256"}))
    with pytest.raises(InvalidToken):
        assertion.check_signature(jwks(public()))


@pytest.mark.parametrize(
    "member",
    [
        public(kid="k2"),
        public(use="enc"),
        public(alg="ES384"),
        public(key_ops=["sign"]),
        public(RS256),
        public(ES384),
        {"kty": "oct", "k": b64url(b"secret"), "kid": "k1"},
    ],
)
def test_a_key_for_something_else_is_not_used(member: dict[str, Any]) -> None:
    assert (
        refusal(forge(HEADER), jwks(member)) == "no registered key has its kid and is for its alg"
    )


@pytest.mark.parametrize(
    "member",
    [public(use="sig", alg="ES256"), public(key_ops=["verify"]), public(key_ops=[])],
)
def test_a_key_that_says_what_it_is_for_is_used_for_that(member: dict[str, Any]) -> None:
    Assertion.read(forge(HEADER)).check_signature(jwks(member))


def test_without_a_kid_the_only_key_for_the_algorithm_is_meant() -> None:
    others = public(RS256, kid="k2"), public(ES384, kid="k3"), public(use="enc", kid="k4")
    Assertion.read(without_kid()).check_signature(jwks(public(), *others))
    second = public(SigningKey.generate("ES256"), kid="k2")
    reason = "kid is missing, and several registered keys are for its alg"
    assert refusal(without_kid(), jwks(public(), second)) == reason


def test_a_kid_finds_a_key_that_is_registered_without_one_if_it_is_the_only_one() -> None:
    nameless = public()
    del nameless["kid"]
    Assertion.read(forge(HEADER)).check_signature(jwks(nameless))
    Assertion.read(forge(HEADER)).check_signature(jwks(nameless | {"x": "AA"}, public()))
    assert refusal(forge(HEADER), jwks(nameless, nameless)).startswith("kid is missing")


def test_a_set_without_keys_proves_nothing() -> None:
    assert refusal(forge(HEADER), {}) == "no registered key has its kid and is for its alg"


@pytest.mark.parametrize("changed", [{"x": "AA"}, {"x": 1}, {"d": "AA"}])
def test_an_unsound_key_proves_nothing(changed: dict[str, Any]) -> None:
    assert refusal(forge(HEADER), jwks(public(**changed))) == "the registered key is unsound"


def test_another_curve_of_the_same_kind_is_not_taken_for_ed25519() -> None:
    other = OKPKey.generate_key("Ed448").as_dict(private=False)
    token = forge({"alg": "EdDSA"}, by=BY_ALG["EdDSA"])
    assert refusal(token, jwks(other)) == "no registered key has its kid and is for its alg"


# By MAC

SECRET = "a-secret-of-the-client-and-of-nobody-else-than-us"


def mac(secret: str, alg: str = "HS256") -> str:
    signing_input = f"{b64url(json.dumps({'alg': alg}).encode())}.{b64url(PAYLOAD)}"
    tag = hmac.digest(secret.encode(), signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{b64url(tag)}"


def test_whoever_knows_the_secret_is_proven_by_a_mac() -> None:
    Assertion.read(mac(SECRET)).check_mac(SECRET)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (mac("another"), "MAC is wrong"),
        (mac(SECRET)[:-3], "MAC is wrong"),
        (mac(SECRET, "none"), "alg is not accepted here"),
        (mac(SECRET, "HS384"), "alg is not accepted here"),
        (forge(HEADER), "alg is not accepted here"),
    ],
)
def test_nobody_else_is(token: str, reason: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        Assertion.read(token).check_mac(SECRET)
    assert caught.value.reason in (reason, "not canonical base64url")
