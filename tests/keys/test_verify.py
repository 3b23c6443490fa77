"""What `verify` refuses. Each forged token has a correct signature wherever that is possible,
so that it is the rule under test which refuses it.
"""

import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.errors import InvalidToken
from keys.hashing import b64url
from keys.signing import ALGORITHMS, MAX_TOKEN_CHARACTERS, SigningKey
from tests.keys.forging import (
    BY_ALG,
    CLAIMS,
    ES256,
    KEYS,
    PAYLOAD,
    RS256,
    claims_of,
    forge,
    header,
    reason,
    signed,
)


# RFC 8725 3.1
@pytest.mark.parametrize("alg", ["none", "None", "nOnE", ""])
def test_an_unsigned_token_is_refused(alg: str) -> None:
    segments = [b64url(json.dumps(header(alg=alg)).encode()), b64url(PAYLOAD)]

    assert reason(".".join([*segments, ""])) == "not a compact JWS"
    assert reason(".".join([*segments, "AAAA"])) == "alg is not accepted here"
    assert reason(".".join([*segments, "AAAA"]), algs=(alg,)) == "alg is not the key's"


# RFC 8725 2.1: the public key, in any spelling, is no secret of an HMAC.
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("key", KEYS.values(), ids=list(BY_ALG))
def test_a_public_key_is_never_the_secret_of_an_hmac(key: SigningKey, alg: str) -> None:
    signing_input = f"{b64url(json.dumps(header(key, alg=alg)).encode())}.{b64url(PAYLOAD)}"
    for secret in (
        key._key.as_pem(private=False),
        key._key.as_der(private=False),
        json.dumps(dict(key.public_jwk)).encode(),
        b"",
    ):
        mac = hmac.digest(secret, signing_input.encode(), f"sha{alg[2:]}")
        token = f"{signing_input}.{b64url(mac)}"

        assert reason(token) == "alg is not accepted here"
        assert reason(token, algs=(alg, "RS256", "ES256")) == "alg is not the key's"


# RFC 8725 2.1: not even where one key could make signatures of both.
@pytest.mark.parametrize("key", KEYS.values(), ids=list(BY_ALG))
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_alg_must_be_that_of_the_key(key: SigningKey, alg: str) -> None:
    token = forge(header(key, alg=alg), by=key)

    if alg == key.alg:
        assert claims_of(token) == CLAIMS
    else:
        assert reason(token) == "alg is not the key's"


def test_alg_must_be_one_that_the_caller_accepts() -> None:
    token = signed(RS256)

    assert reason(token, algs=("ES256",)) == "alg is not accepted here"
    assert reason(token, algs=()) == "alg is not accepted here"


def test_kid_must_be_known() -> None:
    stranger = SigningKey.generate("ES256")

    assert reason(signed(stranger)) == "kid is unknown"


@pytest.mark.parametrize("kid", ["", None])
def test_kid_must_be_present(kid: str | None) -> None:
    without = {name: value for name, value in header().items() if name != "kid"}

    assert reason(forge(without if kid is None else without | {"kid": kid})) == "kid is missing"


@pytest.mark.parametrize("key", KEYS.values(), ids=list(BY_ALG))
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_kid_must_be_that_of_the_key_that_signed(key: SigningKey, alg: str) -> None:
    named = BY_ALG[alg]
    if named is not key:
        assert reason(forge(header(named), by=key)) == "signature is wrong"
        assert reason(forge(header(key, kid=named.kid), by=key)) == "alg is not the key's"


def test_the_key_of_another_kid_does_not_sign() -> None:
    stranger = SigningKey.generate("ES256")

    assert reason(forge(header(), by=stranger)) == "signature is wrong"


# RFC 8725 3.11
@pytest.mark.parametrize("typ", ["JWT", "logout+jwt", "AT+JWT", "at+jwt ", "", "text/at+jwt"])
def test_typ_must_be_the_expected_one(typ: str) -> None:
    assert reason(forge(header(typ=typ))) == "typ is not the expected one"


def test_typ_must_be_present() -> None:
    assert reason(forge({"alg": "ES256", "kid": ES256.kid})) == "typ is not the expected one"


# RFC 9068 4
def test_typ_may_be_written_with_its_prefix() -> None:
    assert claims_of(forge(header(typ="application/at+jwt"))) == CLAIMS


# RFC 7515 4.1.11, RFC 8725 3.10, RFC 7797
@pytest.mark.parametrize(
    "parameters",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"b64": True},
        {"jku": "http://127.0.0.1:9/jwks"},
        {"jwk": dict(SigningKey.generate("ES256").public_jwk)},
        {"x5u": "http://127.0.0.1:9/cert"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA"},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"cty": "JWT"},
    ],
    ids=",".join,
)
def test_a_header_with_any_other_parameter_is_refused(parameters: dict[str, Any]) -> None:
    assert reason(forge(header() | parameters)) == "header is not just alg, kid and typ"


@pytest.mark.parametrize("parameter", ["jwk", "jku", "x5u", "x5c"])
def test_a_key_that_the_token_brings_is_never_used(parameter: str) -> None:
    attacker = SigningKey.generate("ES256")
    brought: Any = dict(attacker.public_jwk) if parameter == "jwk" else "http://127.0.0.1:9/"

    token = forge(header(attacker) | {parameter: brought}, by=attacker)

    assert reason(token) == "header is not just alg, kid and typ"


@pytest.mark.parametrize(
    "raw",
    [
        b"[]",
        b'"text"',
        b"null",
        b'{"alg":["ES256"]}',
        b'{"alg":null}',
        b'{"kid":1}',
        b'{"alg":' + b"[" * 5000,
        b'{"x":' + b'{"x":' * 1000,
    ],
    ids=lambda raw: raw[:12].decode(),
)
def test_a_header_of_another_shape_is_refused(raw: bytes) -> None:
    assert reason(forge(raw)) == "header is not just alg, kid and typ"


@pytest.mark.parametrize("raw", [b"", b"{", b"{} {}", b'{"alg":"\xff"}', b"\xef\xbb\xbf{}"])
def test_a_header_that_is_not_json_is_refused(raw: bytes) -> None:
    expected = "header is not JSON" if raw else "not a compact JWS"

    assert reason(forge(raw)) == expected


@pytest.mark.parametrize(
    "payload", [b"[]", b'"text"', b"1", b"null", b"true", b"{", b"not json", b'{"a":1} x', b"\xff"]
)
def test_a_payload_that_is_not_a_json_object_is_refused(payload: bytes) -> None:
    assert reason(signed(payload=payload)) == "payload is not a JSON object"


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("ending", ["=", "==", "\n", " ", "+", "/", "!", "\0", "é"])
def test_base64url_must_be_canonical(segment: int, ending: str) -> None:
    segments = signed().split(".")
    segments[segment] += ending

    assert reason(".".join(segments)) == "not canonical base64url"


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c.d.e"]
)
def test_what_is_not_three_segments_is_refused(token: str) -> None:
    assert reason(token) == "not a compact JWS"


def test_a_token_without_its_payload_is_refused() -> None:
    head, _, signature = signed().split(".")

    assert reason(f"{head}..{signature}") == "not a compact JWS"


def test_a_token_of_more_than_8192_characters_is_refused() -> None:
    def padded(length: int) -> str:
        return signed(payload=json.dumps({"pad": "x" * length}).encode())

    length = next(n for n in range(5000, 7000) if len(padded(n)) >= MAX_TOKEN_CHARACTERS - 1)

    assert claims_of(padded(length))
    assert len(padded(length + 3)) > 8192
    assert reason(padded(length + 3)) == "longer than 8192 characters"


@given(st.text(max_size=200) | st.builds(".".join, st.lists(st.text(max_size=60), max_size=4)))
def test_any_text_is_refused_with_a_reason(text: str) -> None:
    assert reason(text)


@given(st.binary(max_size=200), st.binary(max_size=80))
def test_any_header_and_signature_are_refused_with_a_reason(head: bytes, signature: bytes) -> None:
    assert reason(f"{b64url(head)}.{b64url(PAYLOAD)}.{b64url(signature)}")


def test_a_reason_never_quotes_the_token() -> None:
    token = forge(header(kid="attacker-text", typ="attacker-text", alg="attacker-text"))

    with pytest.raises(InvalidToken) as caught:
        claims_of(token)

    assert "attacker" not in str(caught.value)
    assert caught.value.__cause__ is None
