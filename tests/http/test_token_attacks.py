"""Access tokens that somebody made up, at userinfo: each is well made but for the one thing."""

import base64
import contextlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey, import_key

from tests.http.provider import Browser, RelyingParty, Running, claims_of, header_of, new_phone

ATTACKER = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)


@pytest.fixture
def issued(browser: Browser, party: RelyingParty) -> dict[str, Any]:
    answer = browser.tokens(party, new_phone())
    assert browser.provider.userinfo(answer["access_token"]).status_code == 200
    return answer


@pytest.fixture
def published(provider: Running) -> list[dict[str, Any]]:
    with provider.client() as client:
        keys: list[dict[str, Any]] = client.get("/jwks").json()["keys"]
    return keys


class Trap:
    """A server of the attacker's; whoever connects to it has walked into it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/keys"
        self.visited = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            self.visited.set()
            with connection:
                body = json.dumps({"keys": [ATTACKER.as_dict(private=False)]}).encode()
                connection.recv(4096)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/jwk-set+json\r\n"
                    b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
                )

    def close(self) -> None:
        # Wakes the thread that waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@pytest.fixture
def trap() -> Iterator[Trap]:
    opened = Trap()
    yield opened
    opened.close()


def b64(data: bytes | dict[str, Any]) -> str:
    raw = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def bytes_of(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "==")


def attacker_signed(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return jws.serialize_compact(
        header | {"alg": "ES256"},
        json.dumps(claims),
        ATTACKER,
        registry=jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False),
    )


def is_refused(provider: Running, token: str) -> None:
    refused = provider.userinfo(token)
    assert refused.status_code == 401
    assert refused.json()["error"] == "invalid_token"
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    # RFC 8725 3: the answer does not say what to try next.
    assert refused.json()["error_description"] == "the access token is not valid"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", ""])
def test_alg_none_is_refused(provider: Running, issued: dict[str, Any], alg: str) -> None:
    header, payload, signature = issued["access_token"].split(".")
    unsigned = b64(header_of(issued["access_token"]) | {"alg": alg})

    for ending in ("", signature, "AA"):
        is_refused(provider, f"{unsigned}.{payload}.{ending}")
    assert provider.userinfo(f"{header}.{payload}.{signature}").status_code == 200


# RFC 8725 2.1
@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_a_published_key_is_no_secret(
    provider: Running, issued: dict[str, Any], published: list[dict[str, Any]], alg: str
) -> None:
    payload = issued["access_token"].split(".")[1]
    tried = 0
    for jwk in published:
        key: Any = import_key(jwk)
        header = b64(header_of(issued["access_token"]) | {"alg": alg, "kid": jwk["kid"]})
        for secret in (
            key.as_pem(private=False),
            key.as_pem(private=False).strip(),
            key.as_der(private=False),
            json.dumps(jwk).encode(),
            json.dumps(jwk, separators=(",", ":")).encode(),
            bytes_of(str(jwk.get("x", jwk.get("n")))),
        ):
            mac = hmac.digest(secret, f"{header}.{payload}".encode(), f"sha{alg[2:]}")
            is_refused(provider, f"{header}.{payload}.{b64(mac)}")
            tried += 1
    assert tried >= 6 * 6


@pytest.mark.parametrize("parameter", ["jwk", "jku", "x5u", "x5c", "kid"])
@pytest.mark.parametrize("named", ["ours", "attacker's"])
def test_a_key_that_the_token_brings_is_not_used(
    provider: Running, issued: dict[str, Any], trap: Trap, parameter: str, named: str
) -> None:
    brought: Any = {
        "jwk": ATTACKER.as_dict(private=False),
        "jku": trap.url,
        "x5u": trap.url,
        "x5c": [base64.b64encode(ATTACKER.as_der(private=False)).decode()],
        "kid": trap.url,
    }[parameter]
    header = header_of(issued["access_token"])
    kid = header["kid"] if named == "ours" else ATTACKER.kid

    token = attacker_signed(
        header | {"kid": kid, parameter: brought}, claims_of(issued["access_token"])
    )

    is_refused(provider, token)
    assert not trap.visited.is_set()


@pytest.mark.parametrize(
    "parameters",
    [
        {"crit": ["exp"], "exp": 9999999999},
        {"crit": ["b64"], "b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"x5t": "AAAA"},
    ],
    ids=",".join,
)
def test_a_header_that_says_more_is_refused(
    provider: Running, issued: dict[str, Any], parameters: dict[str, Any]
) -> None:
    _, payload, signature = issued["access_token"].split(".")
    header = b64(header_of(issued["access_token"]) | parameters)

    is_refused(provider, f"{header}.{payload}.{signature}")


# RFC 8725 3.11, RFC 9068 5
def test_an_id_token_is_no_access_token(provider: Running, issued: dict[str, Any]) -> None:
    _, payload, signature = issued["id_token"].split(".")
    renamed = b64(header_of(issued["id_token"]) | {"typ": "at+jwt"})

    is_refused(provider, issued["id_token"])
    is_refused(provider, f"{renamed}.{payload}.{signature}")


@pytest.mark.parametrize("typ", ["JWT", "AT+JWT", "logout+jwt", "", None])
def test_another_typ_is_refused(provider: Running, issued: dict[str, Any], typ: str | None) -> None:
    _, payload, signature = issued["access_token"].split(".")
    header = header_of(issued["access_token"]) | {"typ": typ}

    is_refused(provider, f"{b64(header)}.{payload}.{signature}")


def test_an_unknown_kid_is_refused(provider: Running, issued: dict[str, Any]) -> None:
    claims = claims_of(issued["access_token"])
    for kid in (ATTACKER.kid, "", "../../etc/passwd", "' OR 1=1 --", "0"):
        is_refused(provider, attacker_signed({"typ": "at+jwt", "kid": kid}, claims))
    is_refused(provider, attacker_signed({"typ": "at+jwt"}, claims))


def test_the_kid_of_another_key_of_ours_is_refused(
    provider: Running, issued: dict[str, Any], published: list[dict[str, Any]]
) -> None:
    header, payload, signature = issued["access_token"].split(".")
    own = header_of(issued["access_token"])
    others = [jwk for jwk in published if jwk["kid"] != own["kid"]]
    assert {"ES256", "ES384", "RS256", "PS256", "EdDSA", "ECDH-ES"} == {it["alg"] for it in others}

    for jwk in others:
        for alg in {own["alg"], jwk["alg"]}:
            changed = b64(own | {"kid": jwk["kid"], "alg": alg})
            is_refused(provider, f"{changed}.{payload}.{signature}")
    assert provider.userinfo(f"{header}.{payload}.{signature}").status_code == 200


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES384", "EdDSA", "ES512", "ES256K"])
def test_alg_is_es256_alone(provider: Running, issued: dict[str, Any], alg: str) -> None:
    _, payload, signature = issued["access_token"].split(".")
    header = b64(header_of(issued["access_token"]) | {"alg": alg})

    is_refused(provider, f"{header}.{payload}.{signature}")


def test_a_signature_that_proves_nothing_is_refused(
    provider: Running, issued: dict[str, Any]
) -> None:
    signing_input, _, signature = issued["access_token"].rpartition(".")
    whole = bytes_of(signature)
    r, s = int.from_bytes(whole[:32]), int.from_bytes(whole[32:])

    for octets in (
        bytes(64),
        b"\xff" * 64,
        whole[:32] + bytes(32),
        bytes(32) + whole[32:],
        whole[:-1],
        whole[:32],
        whole + b"\0",
        encode_dss_signature(r, s),
    ):
        is_refused(provider, f"{signing_input}.{b64(octets)}")


def test_an_encrypted_token_is_no_access_token(provider: Running, issued: dict[str, Any]) -> None:
    key = RSAKey.generate_key(2048)
    is_refused(provider, ".".join([b64({"alg": "RSA-OAEP-256", "kid": key.thumbprint()})] * 5))
    is_refused(provider, ".".join([*issued["access_token"].split("."), "", ""]))
