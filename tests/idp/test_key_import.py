"""`idp keys import` and `export`."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from keys.signing import SigningKey
from tests.idp.conftest import Run
from tests.idp.installation import Installation

Write = Callable[[bytes], Path]


@pytest.fixture
def here(directory: Path, run: Run) -> Iterator[Installation]:
    """An installation with the keys of its first start, for every way of signing but one."""
    installation = Installation(directory, run, algorithms='"ES256", "RS256", "PS256", "EdDSA"')
    installation.start()
    yield installation
    installation.tarantool.stop()


def openssl(command: str, given: bytes = b"") -> bytes:
    words = ["openssl", *command.split()]
    return subprocess.run(words, input=given, check=True, capture_output=True).stdout


RSA = "genrsa -traditional 2048"
P256 = "ecparam -genkey -name prime256v1"
OF_NO_USE = "it is not for any algorithm of ours: it must be EC, RSA or Ed25519"
OTHER_TYPE = "it is not a key for {}: another kty or crv"
PROTECTED = "a passphrase protects it: `openssl pkey` writes it without"
WEAK = "an RSA key has 2048 to 4096 bits and an exponent of at most 64"


@pytest.fixture
def write(directory: Path) -> Write:
    def write(content: bytes) -> Path:
        path = directory / "given"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("alg", "made", "begins"),
    [
        ("ES256", P256, b"EC PARAMETERS"),
        ("ES256", f"{P256} -noout", b"EC PRIVATE KEY"),
        ("ES256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", b"PRIVATE KEY"),
        ("RS256", RSA, b"RSA PRIVATE KEY"),
        ("PS256", "genrsa 3072", b"PRIVATE KEY"),
        ("EdDSA", "genpkey -algorithm ed25519", b"PRIVATE KEY"),
    ],
)
def test_a_key_in_pem_becomes_the_next_one(
    here: Installation,
    write: Write,
    alg: str,
    made: str,
    begins: bytes,
) -> None:
    before, pem = here.kid("next", alg), openssl(made)
    assert pem.startswith(b"-----BEGIN " + begins)

    told = here.done("import", write(b"Bag Attributes\n" + pem), alg, "--reason", "moving house")

    kid = here.kid("next", alg)
    assert told.startswith(f"{kid} is the next key for {alg}; it begins at 20")
    assert here.row(before)["state"] == "retired"
    assert (
        here.done("export", kid, "--public", "--pem") == openssl("pkey -pubout", given=pem).decode()
    )
    assert here.audit("signing_key_added")[-1]["reason"] == "moving house"


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_a_key_in_jwk_becomes_the_next_one(
    here: Installation, monkeypatch: pytest.MonkeyPatch, alg: str
) -> None:
    key = SigningKey.generate(alg)
    stdin = io.TextIOWrapper(io.BytesIO(key.private_jwk()))
    monkeypatch.setattr(sys, "stdin", stdin)
    row = json.loads(here.done("import", "-", alg, "--json"))
    assert (row["kid"], row["state"]) == (key.kid, "next")
    here.done("rotate", alg, "--force", "--reason", "test")
    assert here.kid("active", alg) == key.kid


def test_a_key_that_is_imported_twice_is_imported_once(here: Installation, write: Write) -> None:
    file = write(openssl(RSA))
    assert here.done("import", file, "RS256") == here.done("import", file, "RS256")
    kid = here.kid("next", "RS256")
    assert here.refused("import", file, "PS256") == (
        f"{kid} is the next key for RS256 already, and can be nothing else"
    )
    here.done("rotate", "RS256", "--force", "--reason", "test")
    assert here.refused("import", file, "RS256") == (
        f"{kid} is the active key for RS256 already, and can be nothing else"
    )


@pytest.mark.parametrize("end", ["retire", "revoke"])
def test_a_key_that_has_left_never_comes_back(here: Installation, write: Write, end: str) -> None:
    file = write(openssl(P256))
    here.done("import", file, "ES256")
    kid = here.kid("next")
    here.done(end, kid, "--reason", "leaked", *(["--yes"] if end == "revoke" else []))
    assert here.refused("import", file, "ES256") == (
        f"{kid} was a key for ES256 and is {end}d: it can never come back"
    )


@pytest.mark.parametrize(
    ("alg", "made", "why"),
    [
        ("RS256", "genrsa 1024", WEAK),
        ("ES256", "ecparam -genkey -name secp384r1", OTHER_TYPE),
        ("ES256", "ecparam -genkey -name secp256k1", OTHER_TYPE),
        ("ES256", "ecparam -genkey -name brainpoolP256r1", OF_NO_USE),
        ("ES256", RSA, OTHER_TYPE),
        ("RS256", P256, OTHER_TYPE),
        ("EdDSA", "genpkey -algorithm ed448", OF_NO_USE),
        ("EdDSA", "genpkey -algorithm x25519", OF_NO_USE),
        ("RS256", "genrsa -aes256 -passout pass:secret 2048", PROTECTED),
        ("RS256", "genrsa -traditional -aes256 -passout pass:secret 2048", PROTECTED),
    ],
)
def test_a_key_that_is_not_for_us_is_refused(
    here: Installation, write: Write, alg: str, made: str, why: str
) -> None:
    file = write(openssl(made))
    assert here.refused("import", file, alg) == f"{file} cannot be imported: {why.format(alg)}"


def test_a_public_key_is_not_enough(here: Installation, write: Write) -> None:
    key = SigningKey.generate("ES256")
    pem = here.done("export", here.kid("active"), "--public", "--pem").encode()
    for content in (pem, msgspec.json.encode(key.public_jwk)):
        said = here.refused("import", write(content), "ES256")
        assert said.endswith(" cannot be imported: it has no private part to sign with")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"alg": "ES384"}, "its alg is another one than ES256"),
        ({"use": "enc"}, "its use is not sig"),
        ({"kty": "oct"}, "kty must be EC, OKP or RSA"),
        ({"d": "AQ"}, "it is not a sound EC key"),
    ],
)
def test_a_jwk_that_is_not_sound_is_refused(
    here: Installation, write: Write, changes: dict[str, str], why: str
) -> None:
    members = json.loads(SigningKey.generate("ES256").private_jwk())
    file = write(json.dumps(members | changes).encode())
    assert here.refused("import", file, "ES256") == f"{file} cannot be imported: {why}"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is neither PEM nor a JWK"),
        (b"[1]", "it is neither PEM nor a JWK"),
        (b"\xff\x00", "it is neither PEM nor a JWK"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA", "it is not a sound private key in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA", "it has no private part to sign with"),
    ],
)
def test_what_is_no_key_is_refused(
    here: Installation, write: Write, content: bytes, why: str
) -> None:
    file = write(content)
    assert here.refused("import", file, "ES256") == f"{file} cannot be imported: {why}"


def test_what_cannot_be_imported_at_all_is_told(
    here: Installation, write: Write, directory: Path
) -> None:
    assert here.refused("import", directory / "absent", "ES256") == (
        f"{directory}/absent cannot be read: No such file or directory"
    )
    file = write(openssl(P256))
    assert here.refused("import", file, "ECDH-ES") == "only signing keys can be imported"
    assert here.refused("import", file, "ES384").startswith("ES384 is not in use: it must be ")


# Export


def test_a_public_key_is_exported(here: Installation) -> None:
    for alg in ("ES256", "ECDH-ES"):
        kid = here.kid("active", alg)
        assert json.loads(here.done("export", kid, "--public")) == here.row(kid)["public_jwk"]
        pem = here.done("export", kid, "--public", "--pem")
        assert isinstance(load_pem_public_key(pem.encode()), EllipticCurvePublicKey)


def test_the_jwk_set_holds_what_is_published(here: Installation) -> None:
    first = here.kid("active")
    here.done("rotate", "ES256", "--force", "--reason", "test")
    here.done("revoke", here.kid("next", "RS256"), "--yes", "--reason", "test")
    exported = json.loads(here.done("export", "--public"))["keys"]
    assert {jwk["kid"] for jwk in exported} == {
        row["kid"] for row in here.rows() if row["state"] in ("active", "next", "retiring")
    }
    assert first in {jwk["kid"] for jwk in exported}
    assert not any({"d", "p", "q"} & jwk.keys() for jwk in exported)


def test_only_public_parts_are_exported(here: Installation) -> None:
    code, _, err = here.keys("export")
    assert code == 2
    assert "only public parts can be exported: say --public" in err
    code, _, err = here.keys("export", "--public", "--pem")
    assert code == 2
    assert "--pem is for one key: name it" in err


def test_what_the_store_alone_says_is_not_exported(here: Installation) -> None:
    kid = here.kid("next")
    here.lua(
        "local kid, x = ... box.space.signing_key:update(kid, {{ '=', 'public_jwk.x', x }})",
        kid,
        "forged",
    )
    assert here.row(kid)["public_jwk"]["x"] == "forged"
    assert "forged" not in here.done("export", "--public") + here.done("export", kid, "--public")
    here.done("revoke", kid, "--yes", "--reason", "test")
    assert here.refused("export", kid, "--public") == (
        f"{kid} is revoked, and with that nothing proves its public part"
    )
