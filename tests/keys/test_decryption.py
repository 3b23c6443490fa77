"""What our own decryption key takes and refuses."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from keys.encryption import CONTENT_ENCRYPTION, MAX_ENCRYPTED_CHARACTERS, DecryptionKey
from keys.errors import InvalidToken, UnusableKey
from keys.hashing import b64url, b64url_decode
from keys.signing import SigningKey

KEY = DecryptionKey.generate()
KEY_POINT = {name: KEY.public_jwk[name] for name in ("kty", "crv", "x", "y")}
PAYLOAD = b"signed.by.client"
NOT_OURS = "header is not one of ECDH-ES alone"


def encrypt(
    to: Any = None, algorithms: tuple[str, ...] = (), payload: bytes = PAYLOAD, **header: Any
) -> str:
    given = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": KEY.kid} | header
    present = {name: value for name, value in given.items() if value is not None}
    registry = jwe.JWERegistry(
        algorithms=("ECDH-ES", *CONTENT_ENCRYPTION, *algorithms), strict_check_header=False
    )
    return jwe.encrypt_compact(present, payload, to or KEY._key, registry=registry)


def with_header(token: str, **changed: Any) -> str:
    head, rest = token.split(".", 1)
    members = json.loads(b64url_decode(head)) | changed
    present = {name: value for name, value in members.items() if value is not None}
    return f"{b64url(json.dumps(present).encode())}.{rest}"


def reason(token: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        KEY.decrypt(token)
    assert caught.value.__cause__ is None
    return caught.value.reason


@pytest.mark.parametrize("enc", CONTENT_ENCRYPTION)
def test_what_a_client_encrypts_is_decrypted(enc: str) -> None:
    assert KEY.decrypt(encrypt(enc=enc, cty="JWT", typ="JWT")) == PAYLOAD
    assert KEY.decrypt(encrypt(enc=enc, payload=b"")) == b""


# RFC 7518 4.6.1: the parties' names, which some libraries always send
def test_the_parties_of_the_agreement_may_be_named() -> None:
    assert KEY.decrypt(encrypt(apu=b64url(b"client"), apv=b64url(b"provider"))) == PAYLOAD
    assert reason(with_header(encrypt(), apu="=", apv="")) == "it cannot be decrypted"


def test_a_key_comes_back_from_its_private_jwk() -> None:
    restored = DecryptionKey.from_private_jwk(KEY.private_jwk())

    assert (restored.kid, restored.public_jwk) == (KEY.kid, KEY.public_jwk)
    assert restored.decrypt(encrypt()) == PAYLOAD
    assert repr(restored) == f"DecryptionKey(kid='{KEY.kid}')"


def test_what_is_published_is_for_encryption_and_has_no_private_part() -> None:
    assert KEY.public_jwk.keys() == {"kty", "crv", "x", "y", "use", "alg", "kid"}
    assert (KEY.public_jwk["use"], KEY.public_jwk["alg"]) == ("enc", "ECDH-ES")
    assert KEY.public_jwk["kid"] == KEY.kid


@pytest.mark.parametrize(
    "private_jwk",
    [
        SigningKey.generate("ES256").private_jwk(),
        json.dumps(ECKey.generate_key("P-384").as_dict(private=True)).encode(),
        json.dumps(OKPKey.generate_key("X25519").as_dict(private=True)).encode(),
        json.dumps(RSAKey.generate_key(2048).as_dict(private=True)).encode(),
        json.dumps(dict(KEY.public_jwk)).encode(),
        b"[]",
    ],
)
def test_only_a_private_key_for_ecdh_es_decrypts(private_jwk: bytes) -> None:
    with pytest.raises(UnusableKey):
        DecryptionKey.from_private_jwk(private_jwk)


# RFC 8725 3.1
@pytest.mark.parametrize("alg", ["dir", "RSA1_5", "ECDH-ES+A128KW", "none", "ES256", ""])
def test_another_algorithm_is_refused(alg: str) -> None:
    assert reason(with_header(encrypt(), alg=alg)) == "alg is not the key's"


def test_a_token_for_a_key_of_another_algorithm_is_refused() -> None:
    rsa = RSAKey.generate_key(2048)
    wrapped = encrypt(
        ECKey.generate_key("P-256"), ("ECDH-ES+A128KW", "A128KW"), alg="ECDH-ES+A128KW"
    )

    assert reason(encrypt(rsa, ("RSA-OAEP-256",), alg="RSA-OAEP-256")) == NOT_OURS
    assert reason(wrapped) == "alg is not the key's"


# The public key, whose every spelling is known, is no shared secret.
@pytest.mark.parametrize("alg", ["dir", "A128KW", "A256KW", "PBES2-HS256+A128KW"])
def test_the_public_key_is_never_a_shared_secret(alg: str) -> None:
    length = 16 if alg == "A128KW" else 32
    secret = OctKey.import_key(b64url_decode(str(KEY.public_jwk["x"]))[:length])
    token = encrypt(secret, (alg, "A128KW"), alg=alg)

    assert reason(token) == NOT_OURS
    assert reason(with_header(token, epk=KEY_POINT)) in ("alg is not the key's", NOT_OURS)


@pytest.mark.parametrize("enc", ["A128GCM", "A192GCM", "A256CBC-HS512", "none", ""])
def test_another_content_encryption_is_refused(enc: str) -> None:
    assert reason(with_header(encrypt(), enc=enc)) == "enc is not accepted here"


@pytest.mark.parametrize(
    "kid", ["", "other", pytest.param(SigningKey.generate("ES256").kid, id="thumbprint")]
)
def test_the_kid_of_another_key_is_refused(kid: str) -> None:
    assert reason(encrypt(kid=kid)) == "kid is not the key's"


# RFC 7516 4.1.6
def test_the_kid_may_be_missing() -> None:
    assert KEY.decrypt(encrypt(kid=None)) == PAYLOAD


# RFC 7516 4.1.3: a short token that becomes a long text
def test_a_compressed_text_is_refused() -> None:
    bomb = encrypt(payload=b"\0" * 100_000, algorithms=("DEF",), zip="DEF")
    assert len(bomb) < 1000

    assert reason(bomb) == NOT_OURS


@pytest.mark.parametrize(
    "parameters",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"jku": "http://127.0.0.1:9/jwks"},
        {"jwk": dict(SigningKey.generate("ES256").public_jwk)},
        {"x5u": "http://127.0.0.1:9/cert"},
        {"x5c": ["MIIB"]},
        {"x5t": "AAAA"},
        {"b64": False},
        {"p2c": 1_000_000_000},
        {"iss": "client"},
    ],
    ids=",".join,
)
def test_a_header_with_any_other_parameter_is_refused(parameters: dict[str, Any]) -> None:
    assert reason(with_header(encrypt(), **parameters)) == NOT_OURS


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"{", b"\xff", b'{"alg":' + b"[" * 5000])
def test_a_header_of_another_shape_is_refused(raw: bytes) -> None:
    assert reason(f"{b64url(raw)}.{encrypt().split('.', 1)[1]}") == NOT_OURS


@pytest.mark.parametrize(
    "changed",
    [
        {"x": b64url(bytes(32)), "y": b64url(bytes(32))},
        {"x": b64url(bytes(31) + b"\1")},
        {"x": ""},
        {"x": "="},
        {"x": b64url(b"\xff" * 32), "y": b64url(b"\xff" * 32)},
        {"x": b64url(b"\1" * 400)},
    ],
    ids=str,
)
def test_an_ephemeral_key_that_is_not_on_the_curve_is_refused(changed: dict[str, str]) -> None:
    assert reason(with_header(encrypt(), epk=KEY_POINT | changed)) == "it cannot be decrypted"


@pytest.mark.parametrize(
    "epk",
    [
        None,
        {},
        "x",
        ECKey.generate_key("P-384").as_dict(private=False),
        OKPKey.generate_key("X25519").as_dict(private=False),
        OctKey.generate_key(256).as_dict(),
        ECKey.generate_key("P-256").as_dict(private=True),
        KEY_POINT | {"kty": "oct"},
        KEY_POINT | {"x": 1},
    ],
    ids=itertools.count(),  # keys are new each time
)
def test_an_ephemeral_key_of_another_kind_is_refused(epk: Any) -> None:
    assert reason(with_header(encrypt(), epk=epk)) == NOT_OURS


@pytest.mark.parametrize("enc", CONTENT_ENCRYPTION)
def test_any_changed_character_is_noticed(enc: str) -> None:
    token = encrypt(enc=enc)

    for position, character in enumerate(token):
        changed = token[:position] + ("A" if character != "A" else "B") + token[position + 1 :]
        assert reason(changed)


@pytest.mark.parametrize("enc", CONTENT_ENCRYPTION)
@pytest.mark.parametrize("segment", [2, 3, 4])
def test_a_part_of_another_length_is_refused(enc: str, segment: int) -> None:
    segments = encrypt(enc=enc).split(".")
    octets = b64url_decode(segments[segment])

    for other in (b"", octets[:-1], octets[:4], octets + b"\0", octets * 2):
        changed = [*segments[:segment], b64url(other), *segments[segment + 1 :]]
        assert reason(".".join(changed)) == "it cannot be decrypted"


# RFC 7516 5.2: in direct agreement there is no encrypted key.
def test_an_encrypted_key_is_refused() -> None:
    head, _, *rest = encrypt().split(".")

    assert reason(".".join([head, b64url(b"\0" * 32), *rest])) == "it cannot be decrypted"


@pytest.mark.parametrize("segment", range(5))
@pytest.mark.parametrize("ending", ["=", "\n", " ", "+", "!", "é"])
def test_base64url_must_be_canonical(segment: int, ending: str) -> None:
    segments = encrypt().split(".")
    segments[segment] += ending

    assert reason(".".join(segments)) == "not canonical base64url"


@pytest.mark.parametrize("token", ["", "....", ".....", "a.b.c", "a.b.c.d", "a.b.c.d.e.f"])
def test_what_is_not_five_segments_is_refused(token: str) -> None:
    assert reason(token) == (NOT_OURS if token == "...." else "not a compact JWE")


def test_a_token_of_more_than_12288_characters_is_refused() -> None:
    assert KEY.decrypt(encrypt(payload=b"x" * 8000))
    token = encrypt(payload=b"x" * 9200)

    assert len(token) > MAX_ENCRYPTED_CHARACTERS == 12_288
    assert reason(token) == "longer than 12288 characters"


@given(st.text(max_size=200) | st.builds(".".join, st.lists(st.text(max_size=60), max_size=6)))
def test_any_text_is_refused_with_a_reason(text: str) -> None:
    assert reason(text)


@given(st.lists(st.binary(max_size=60), min_size=4, max_size=4))
def test_any_content_is_refused_with_a_reason(octets: list[bytes]) -> None:
    head = encrypt().split(".", 1)[0]

    assert reason(".".join([head, *map(b64url, octets)])) == "it cannot be decrypted"
