"""What `verify` refuses. Each forged token has a correct signature wherever that is possible,
so that it is the rule under test which refuses it.
"""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey, import_key

from keys.errors import InvalidToken
from keys.hashing import b64url, b64url_decode
from keys.signing import ALGORITHMS, MAX_TOKEN_CHARACTERS, SigningKey, verify

ES256 = SigningKey.generate("ES256")
RS256 = SigningKey.generate("RS256")
BY_ALG = {"ES256": ES256, "RS256": RS256}
KEYS = {key.kid: key for key in BY_ALG.values()}
CLAIMS = {"iss": "https://id.example", "sub": "customer", "имя": "Анна"}
PAYLOAD = json.dumps(CLAIMS).encode()


def claims_of(
    token: str, typ: str = "at+jwt", algs: tuple[str, ...] = ("ES256", "RS256")
) -> dict[str, Any]:
    return verify(token, keys=KEYS, typ=typ, algs=algs)


def reason(token: str, typ: str = "at+jwt", algs: tuple[str, ...] = ("ES256", "RS256")) -> str:
    with pytest.raises(InvalidToken) as caught:
        claims_of(token, typ, algs)
    return caught.value.reason


def forge(header: bytes | dict[str, Any], payload: bytes = PAYLOAD, by: SigningKey = ES256) -> str:
    raw_header = header if isinstance(header, bytes) else json.dumps(header).encode()
    signing_input = f"{b64url(raw_header)}.{b64url(payload)}"
    signature = by._algorithm.sign(signing_input.encode(), by._key)
    return f"{signing_input}.{b64url(signature)}"


def header(key: SigningKey = ES256, **changed: str) -> dict[str, Any]:
    return {"alg": key.alg, "kid": key.kid, "typ": "at+jwt"} | changed


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_signed_token_verifies(alg: str) -> None:
    token = BY_ALG[alg].sign(PAYLOAD, typ="at+jwt")

    assert claims_of(token, algs=(alg,)) == CLAIMS


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_header_is_exactly_alg_kid_and_typ(alg: str) -> None:
    token = BY_ALG[alg].sign(PAYLOAD, typ="logout+jwt")

    kid = BY_ALG[alg].kid
    assert json.loads(b64url_decode(token.split(".")[0])) == {
        "alg": alg,
        "kid": kid,
        "typ": "logout+jwt",
    }


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_relying_party_verifies_with_the_public_keys_alone(alg: str) -> None:
    jwks = KeySet([import_key(dict(key.public_jwk)) for key in KEYS.values()])  # type: ignore[arg-type]

    token = jwt.decode(BY_ALG[alg].sign(PAYLOAD, typ="JWT"), jwks, algorithms=[alg])

    assert token.claims == CLAIMS


@pytest.mark.parametrize("key", KEYS.values())
def test_a_public_key_has_no_private_part(key: SigningKey) -> None:
    assert set(key.public_jwk) == {"kty", "use", "alg", "kid"} | (
        {"crv", "x", "y"} if key.alg == "ES256" else {"n", "e"}
    )
    assert key.public_jwk["use"] == "sig"
    assert key.public_jwk["alg"] == key.alg


@pytest.mark.parametrize("key", KEYS.values())
def test_the_kid_is_the_thumbprint(key: SigningKey) -> None:
    required = ("crv", "kty", "x", "y") if key.alg == "ES256" else ("e", "kty", "n")
    members = json.dumps({name: key.public_jwk[name] for name in required}, separators=(",", ":"))

    # RFC 7638 3
    assert key.kid == key.public_jwk["kid"] == b64url(hashlib.sha256(members.encode()).digest())


@pytest.mark.parametrize("key", KEYS.values())
def test_a_key_comes_back_from_its_private_jwk(key: SigningKey) -> None:
    restored = SigningKey.from_private_jwk(key.private_jwk())

    assert (restored.kid, restored.alg) == (key.kid, key.alg)
    assert restored.public_jwk == key.public_jwk
    assert claims_of(restored.sign(PAYLOAD, typ="at+jwt")) == CLAIMS


def test_only_a_key_of_our_algorithms_signs() -> None:
    for jwk in (
        OctKey.generate_key(256, {"alg": "HS256"}),
        ECKey.generate_key("P-384", {"alg": "ES384"}),
        ECKey.generate_key("P-384", {"alg": "ES256"}),
        ECKey.generate_key("P-256"),
        RSAKey.generate_key(2048, {"alg": "RS256", "use": "enc"}),
    ):
        with pytest.raises(Exception, match=r"not supported|not allowed|cannot sign|designed"):
            SigningKey.from_private_jwk(json.dumps(jwk.as_dict(private=True)).encode())


@pytest.mark.parametrize("key", KEYS.values())
def test_a_key_shows_only_its_id(key: SigningKey) -> None:
    assert repr(key) == f"SigningKey(kid='{key.kid}', alg='{key.alg}')"


# RFC 8725 3.1
@pytest.mark.parametrize("alg", ["none", "None", "nOnE", ""])
def test_an_unsigned_token_is_refused(alg: str) -> None:
    segments = [b64url(json.dumps(header(alg=alg)).encode()), b64url(PAYLOAD)]

    assert reason(".".join([*segments, ""])) == "not a compact JWS"
    assert reason(".".join([*segments, "AAAA"])) == "alg is not accepted here"
    assert reason(".".join([*segments, "AAAA"]), algs=(alg,)) == "alg is not the key's"


# RFC 8725 2.1: the public key, in any spelling, is no secret of an HMAC.
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("key", KEYS.values())
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


def test_alg_must_be_that_of_the_key() -> None:
    assert reason(forge(header(RS256, alg="ES256"), by=RS256)) == "alg is not the key's"
    assert reason(forge(header(RS256, alg="PS256"), by=RS256), algs=("PS256",)) == (
        "alg is not the key's"
    )


def test_alg_must_be_one_that_the_caller_accepts() -> None:
    token = RS256.sign(PAYLOAD, typ="at+jwt")

    assert reason(token, algs=("ES256",)) == "alg is not accepted here"
    assert reason(token, algs=()) == "alg is not accepted here"


def test_kid_must_be_known() -> None:
    stranger = SigningKey.generate("ES256")

    assert reason(stranger.sign(PAYLOAD, typ="at+jwt")) == "kid is unknown"


@pytest.mark.parametrize("kid", ["", None])
def test_kid_must_be_present(kid: str | None) -> None:
    without = {name: value for name, value in header().items() if name != "kid"}

    assert reason(forge(without if kid is None else without | {"kid": kid})) == "kid is missing"


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
    assert reason(ES256.sign(payload, typ="at+jwt")) == "payload is not a JSON object"


@pytest.mark.parametrize("segment", [0, 1, 2])
@pytest.mark.parametrize("ending", ["=", "==", "\n", " ", "+", "/", "!", "\0", "é"])
def test_base64url_must_be_canonical(segment: int, ending: str) -> None:
    segments = ES256.sign(PAYLOAD, typ="at+jwt").split(".")
    segments[segment] += ending

    assert reason(".".join(segments)) == "not canonical base64url"


# 64 bytes leave four bits of the last character unused: 16 spellings of one signature.
def test_a_signature_has_one_spelling() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = ES256.sign(PAYLOAD, typ="at+jwt")
    unused = alphabet.index(token[-1])

    for stray in range(1, 16):
        respelled = token[:-1] + alphabet[unused + stray]
        assert reason(respelled) == "not canonical base64url"


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c.d.e"]
)
def test_what_is_not_three_segments_is_refused(token: str) -> None:
    assert reason(token) == "not a compact JWS"


def test_a_token_without_its_payload_is_refused() -> None:
    head, _, signature = ES256.sign(PAYLOAD, typ="at+jwt").split(".")

    assert reason(f"{head}..{signature}") == "not a compact JWS"


def test_a_token_of_more_than_8192_characters_is_refused() -> None:
    def padded(length: int) -> str:
        return ES256.sign(json.dumps({"pad": "x" * length}).encode(), typ="at+jwt")

    length = next(n for n in range(5000, 7000) if len(padded(n)) >= MAX_TOKEN_CHARACTERS - 1)

    assert claims_of(padded(length))
    assert len(padded(length + 3)) > 8192
    assert reason(padded(length + 3)) == "longer than 8192 characters"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_any_changed_character_is_noticed(alg: str) -> None:
    token = BY_ALG[alg].sign(b'{"sub":"customer"}', typ="at+jwt")

    for position, character in enumerate(token):
        changed = token[:position] + ("A" if character != "A" else "B") + token[position + 1 :]
        assert reason(changed)


@pytest.mark.parametrize(
    "signature",
    [b"\0", b"\0" * 64, b"\xff" * 64, b"\0" * 63, b"\0" * 65, b"\0" * 256, b"\xff" * 256],
)
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_degenerate_signature_is_wrong(alg: str, signature: bytes) -> None:
    token = BY_ALG[alg].sign(PAYLOAD, typ="at+jwt")

    assert reason(f"{token.rpartition('.')[0]}.{b64url(signature)}") == "signature is wrong"


# RFC 7518 3.4: the signature is R and S side by side; DER would be a second spelling.
def test_a_der_signature_is_wrong() -> None:
    signing_input, _, signature = ES256.sign(PAYLOAD, typ="at+jwt").rpartition(".")
    pair = b64url_decode(signature)
    der = encode_dss_signature(int.from_bytes(pair[:32]), int.from_bytes(pair[32:]))

    assert reason(f"{signing_input}.{b64url(der)}") == "signature is wrong"


def test_segments_of_two_tokens_do_not_mix() -> None:
    ours = ES256.sign(PAYLOAD, typ="at+jwt").split(".")
    other = ES256.sign(b'{"sub":"admin"}', typ="at+jwt").split(".")

    assert reason(".".join([ours[0], other[1], ours[2]])) == "signature is wrong"


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
