"""What a client may register of signing and encryption (OpenID Connect Registration 2)."""

from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from flows.client_metadata import ClientMetadata, InvalidClientMetadata
from flows.client_validation import validate
from keys.encryption import CONTENT_ENCRYPTION, KEY_MANAGEMENT
from keys.signing import ALGORITHMS

P256, RSA = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
JWKS = {"keys": [P256.as_dict(private=False), RSA.as_dict(private=False)]}
each_response = pytest.mark.parametrize("response", ["id_token", "userinfo"])


def registered(members: dict[str, Any], algorithms: tuple[str, ...] = ALGORITHMS) -> ClientMetadata:
    given = {"redirect_uris": ["https://shop.example.com/callback"], **members}
    return validate(given, algorithms=algorithms, development=False)


def faults(members: dict[str, Any], algorithms: tuple[str, ...] = ALGORITHMS) -> list[str]:
    with pytest.raises(InvalidClientMetadata) as caught:
        registered(members, algorithms)
    assert {code for code, _ in caught.value.faults} == {"invalid_client_metadata"}
    return [description for _, description in caught.value.faults]


def test_who_says_nothing_gets_rs256_and_plain_userinfo() -> None:
    client = registered({})

    assert client.protection("id_token") == ("RS256", None, None)
    assert client.protection("userinfo") == (None, None, None)


@each_response
@pytest.mark.parametrize("alg", ALGORITHMS)
def test_every_algorithm_that_we_sign_with_may_be_asked_for(response: Any, alg: str) -> None:
    client = registered({f"{response}_signed_response_alg": alg})

    assert client.protection(response).signed_response_alg == alg


@each_response
@pytest.mark.parametrize("alg", ["none", "HS256", "RS512", "Ed25519", "rs256", ""])
def test_no_other_algorithm_may_be_asked_for(response: str, alg: str) -> None:
    member = f"{response}_signed_response_alg"

    assert faults({member: alg}) == [f"{member}: {alg} is not supported"]


@each_response
def test_an_algorithm_for_which_no_key_is_configured_is_refused(response: str) -> None:
    member = f"{response}_signed_response_alg"

    registered({member: "ES256"}, ("ES256", "RS256"))
    assert faults({member: "EdDSA"}, ("ES256", "RS256")) == [f"{member}: EdDSA is not supported"]


@each_response
@pytest.mark.parametrize("alg", KEY_MANAGEMENT)
@pytest.mark.parametrize("enc", CONTENT_ENCRYPTION)
def test_encryption_to_a_registered_key_may_be_asked_for(response: Any, alg: str, enc: str) -> None:
    asked = {f"{response}_encrypted_response_alg": alg, f"{response}_encrypted_response_enc": enc}

    assert registered({"jwks": JWKS, **asked}).protection(response)[1:] == (alg, enc)


@each_response
def test_the_content_encryption_has_a_default(response: Any) -> None:
    client = registered({"jwks": JWKS, f"{response}_encrypted_response_alg": "ECDH-ES"})

    assert client.protection(response).encrypted_response_enc == "A128CBC-HS256"


@each_response
def test_content_encryption_alone_is_a_fault(response: str) -> None:
    member = f"{response}_encrypted_response_enc"

    assert faults({"jwks": JWKS, member: "A256GCM"}) == [
        f"{member}: needs {response}_encrypted_response_alg"
    ]


@each_response
@pytest.mark.parametrize("alg", ["RSA1_5", "RSA-OAEP", "dir", "A128KW", "ECDH-ES+A128KW", ""])
def test_another_key_management_is_refused(response: str, alg: str) -> None:
    member = f"{response}_encrypted_response_alg"

    assert faults({"jwks": JWKS, member: alg}) == [f"{member}: {alg} is not supported"]


@each_response
def test_another_content_encryption_is_refused(response: str) -> None:
    member = f"{response}_encrypted_response_enc"
    asked = {f"{response}_encrypted_response_alg": "ECDH-ES", member: "A128GCM"}

    assert faults({"jwks": JWKS, **asked}) == [f"{member}: A128GCM is not supported"]


@each_response
@pytest.mark.parametrize(
    ("alg", "jwks"),
    [
        ("ECDH-ES", None),
        ("ECDH-ES", {"keys": []}),
        ("ECDH-ES", {"keys": [RSA.as_dict(private=False)]}),
        ("RSA-OAEP-256", {"keys": [P256.as_dict(private=False)]}),
        ("ECDH-ES", {"keys": [P256.as_dict(private=False) | {"use": "sig"}]}),
    ],
)
def test_encryption_needs_a_key_that_is_for_it(
    response: str, alg: str, jwks: dict[str, Any] | None
) -> None:
    member = f"{response}_encrypted_response_alg"

    assert faults({"jwks": jwks, member: alg}) == [f"{member}: of jwks, no key is for {alg}"]


@pytest.mark.parametrize(
    ("jwks", "said"),
    [
        ({}, "it needs a member keys, a list of JWKs"),
        ({"keys": [P256.as_dict(private=True)]}, "key 1: it must be public"),
        ({"keys": [OctKey.generate_key(256).as_dict()]}, "key 1: it must be public"),
        ({"keys": [P256.as_dict(private=False), {"kty": "EC"}]}, "key 2: it is not a sound EC"),
        ({"keys": [P256.as_dict(private=False)] * 200}, "it is longer than 16384 bytes"),
        ([], "Expected `object | null`"),
    ],
)
def test_the_jwk_set_has_sound_public_keys_alone(jwks: Any, said: str) -> None:
    (fault,) = faults({"jwks": jwks})

    assert fault.startswith("jwks: ") or fault.endswith(": jwks")
    assert said in fault
    # Somebody's private key, registered by mistake, is not repeated.
    assert str(P256.as_dict(private=True)["d"]) not in fault


def test_a_jwk_set_may_be_there_for_other_uses() -> None:
    assert registered({"jwks": JWKS}).jwks == JWKS
