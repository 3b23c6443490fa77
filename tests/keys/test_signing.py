import hashlib
import itertools
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey, import_key

from keys.errors import UnusableKey
from keys.hashing import b64url, b64url_decode
from keys.signing import ALGORITHMS, SigningKey, VerificationKey, verify
from tests.keys.forging import BY_ALG, CLAIMS, ES256, KEYS, PAYLOAD, RS256, claims_of

# RFC 7638 3.2, RFC 8037 2: what makes a key of each type the one that it is.
REQUIRED = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
each_key = pytest.mark.parametrize("key", KEYS.values(), ids=list(BY_ALG))
# joserfc tells whoever uses RFC 8037's name that RFC 9864 has another one.
eddsa_is_meant = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


def test_the_algorithms_are_asymmetric() -> None:
    assert ALGORITHMS == ("ES256", "RS256", "PS256", "EdDSA", "ES384")


@each_key
async def test_a_signed_token_verifies(key: SigningKey) -> None:
    token = await key.sign(PAYLOAD, typ="at+jwt")

    assert claims_of(token, algs=(key.alg,)) == CLAIMS


@each_key
async def test_the_public_part_is_enough_to_verify(key: SigningKey) -> None:
    public = VerificationKey.from_public_jwk(key.public_jwk)
    token = await key.sign(PAYLOAD, typ="at+jwt")

    assert (public.kid, public.alg, public.public_jwk) == (key.kid, key.alg, key.public_jwk)
    keys = {public.kid: public}
    assert verify(token, keys=keys, typ="at+jwt", algs=(key.alg,)) == CLAIMS


@each_key
@pytest.mark.parametrize("typ", ["logout+jwt", "JWT"])
async def test_the_header_is_exactly_alg_kid_and_typ(key: SigningKey, typ: str) -> None:
    token = await key.sign(PAYLOAD, typ=typ)

    assert json.loads(b64url_decode(token.split(".")[0])) == {
        "alg": key.alg,
        "kid": key.kid,
        "typ": typ,
    }


@eddsa_is_meant
@each_key
async def test_a_relying_party_verifies_with_the_public_keys_alone(key: SigningKey) -> None:
    jwks = KeySet([import_key(dict(it.public_jwk)) for it in KEYS.values()])  # type: ignore[arg-type]

    token = jwt.decode(await key.sign(PAYLOAD, typ="JWT"), jwks, algorithms=[key.alg])

    assert token.claims == CLAIMS


# RFC 8037 A.4
async def test_an_eddsa_signature_is_that_of_the_rfc() -> None:
    key = SigningKey.from_private_jwk(
        b'{"kty":"OKP","crv":"Ed25519","alg":"EdDSA",'
        b'"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",'
        b'"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}'
    )
    signature = await key.signature(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")

    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"  # A.3
    assert b64url(signature) == (
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )


@each_key
def test_a_public_key_has_no_private_part(key: SigningKey) -> None:
    required = REQUIRED[str(key.public_jwk["kty"])]
    assert set(key.public_jwk) == {"use", "alg", "kid", *required}
    assert key.public_jwk["use"] == "sig"
    assert key.public_jwk["alg"] == key.alg


@each_key
def test_the_kid_is_the_thumbprint(key: SigningKey) -> None:
    required = REQUIRED[str(key.public_jwk["kty"])]
    members = json.dumps({name: key.public_jwk[name] for name in required}, separators=(",", ":"))

    # RFC 7638 3
    assert key.kid == key.public_jwk["kid"] == b64url(hashlib.sha256(members.encode()).digest())


@each_key
async def test_a_key_comes_back_from_its_private_jwk(key: SigningKey) -> None:
    restored = SigningKey.from_private_jwk(key.private_jwk())

    assert (restored.kid, restored.alg) == (key.kid, key.alg)
    assert restored.public_jwk == key.public_jwk
    assert claims_of(await restored.sign(PAYLOAD, typ="at+jwt")) == CLAIMS


@each_key
def test_a_key_shows_only_its_id(key: SigningKey) -> None:
    assert repr(key) == f"SigningKey(kid='{key.kid}', alg='{key.alg}')"


def as_json(key: Any, **changed: object) -> bytes:
    return json.dumps(key.as_dict(private=True) | changed).encode()


@pytest.mark.parametrize(
    "private_jwk",
    [
        as_json(OctKey.generate_key(256), alg="HS256"),
        as_json(ECKey.generate_key("P-256"), alg="ES384"),
        as_json(ECKey.generate_key("P-384"), alg="ES256"),
        as_json(ECKey.generate_key("P-521"), alg="ES512"),
        as_json(ECKey.generate_key("secp256k1"), alg="ES256"),
        as_json(ECKey.generate_key("P-256")),
        as_json(ECKey.generate_key("P-256"), alg="EdDSA"),
        as_json(ECKey.generate_key("P-256"), alg="RS256"),
        as_json(ECKey.generate_key("P-256"), alg="none"),
        as_json(ECKey.generate_key("P-256"), alg=["ES256"]),
        as_json(OKPKey.generate_key("Ed448"), alg="EdDSA"),
        as_json(OKPKey.generate_key("X25519"), alg="EdDSA"),
        as_json(OKPKey.generate_key("Ed25519"), alg="Ed25519"),
        as_json(RSAKey.generate_key(2048), alg="RS512"),
        as_json(RSAKey.generate_key(2048), alg="RS256", use="enc"),
        as_json(ECKey.generate_key("P-256"), alg="ES256", d="AA"),
        as_json(ECKey.generate_key("P-256"), alg="ES256", x="AA"),
        as_json(ECKey.generate_key("P-256"), alg="ES256", crv="P-1"),
        as_json(RSAKey.generate_key(2048), alg="RS256", p="Aw"),
        json.dumps(dict(ES256.public_jwk)).encode(),
        b"[]",
        b"\xff",
        b'{"kty":["EC"]}',
    ],
    ids=itertools.count(),  # keys are new each time, and belong into no test's name
)
def test_only_a_private_key_of_our_algorithms_signs(private_jwk: bytes) -> None:
    with pytest.raises(UnusableKey) as refused:
        SigningKey.from_private_jwk(private_jwk)
    # A private key stands in no message and in no traceback.
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


# RFC 7518 3.3
def test_a_weak_or_a_costly_rsa_key_is_refused() -> None:
    weak, costly = (b64url((1 << bits - 1 | 1).to_bytes(bits // 8)) for bits in (1024, 8192))
    exponent = b64url(((1 << 64) + 1).to_bytes(9))

    for changed in ({"n": weak}, {"n": costly}, {"e": exponent}):
        with pytest.raises(UnusableKey, match="2048 to 4096 bits and an exponent of at most 64"):
            VerificationKey.from_public_jwk(dict(RS256.public_jwk) | changed)


@each_key
def test_a_private_key_is_not_taken_for_a_public_one(key: SigningKey) -> None:
    with pytest.raises(UnusableKey, match="must be public"):
        VerificationKey.from_public_jwk(json.loads(key.private_jwk()))


def test_only_what_makes_the_key_is_published() -> None:
    other = SigningKey.generate("ES256")
    certified = json.loads(ES256.private_jwk()) | {
        "kid": other.kid,
        "x5c": ["MIIB"],
        "key_ops": ["sign"],
    }

    assert SigningKey.from_private_jwk(json.dumps(certified).encode()).public_jwk == (
        ES256.public_jwk
    )


# RFC 8037 leaves it open whether `x` belongs to `d`; the signature would not verify with it.
def test_the_published_part_is_that_of_the_private_one() -> None:
    key, other = SigningKey.generate("EdDSA"), SigningKey.generate("EdDSA")
    mixed = json.loads(key.private_jwk()) | {"x": other.public_jwk["x"]}

    restored = SigningKey.from_private_jwk(json.dumps(mixed).encode())

    assert restored.public_jwk == key.public_jwk
