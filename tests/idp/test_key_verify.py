"""`idp keys verify`."""

import io
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from keys import sealed_keys
from keys.hashing import b64url
from keys.life_cycle import LifeCycle
from tests.idp.installation import ISSUER, Installation

Sign = Callable[..., str]


@pytest.fixture
def sign(here: Installation) -> Sign:
    """Signs what the active key is asked to."""

    def sign(typ: str = "at+jwt", **claims: Any) -> str:
        kid = here.kid("active")

        async def signed(life_cycle: LifeCycle) -> str:
            (row,) = (it for it in await life_cycle.store.signing_keys() if it.kid == kid)
            key = sealed_keys.open_signing(row, life_cycle.sealer)
            content = {"iss": ISSUER, "exp": int(time.time()) + 300, "sub": "s"} | claims
            return await key.sign(msgspec.json.encode(content), typ=typ)

        return here.do(signed)

    return sign


def verdict(here: Installation, token: str) -> tuple[int, str, str | None]:
    """The exit code, the reason and the key's state."""
    code, out, err = here.keys("verify", token, "--json")
    assert err == ""
    found = json.loads(out)
    assert found["valid"] == (code == 0)
    assert here.keys("verify", token)[:1] == (code,)
    return code, found["reason"], found["state"]


@pytest.mark.parametrize("typ", ["at+jwt", "JWT"])
def test_a_token_is_followed_through_the_life_of_its_key(
    here: Installation, sign: Sign, typ: str
) -> None:
    token, kid = sign(typ), here.kid("active")
    assert verdict(here, token) == (0, "signed by a published key", "active")
    here.done("rotate", "ES256", "--force", "--reason", "test")
    assert verdict(here, token) == (0, "signed by a published key", "retiring")
    here.done("retire", kid, "--force", "--reason", "test")
    retired = "its key is retired: it counts as an id_token_hint alone"
    assert verdict(here, token) == (1, retired, "retired")
    here.done("revoke", kid, "--yes", "--reason", "test")
    assert verdict(here, token) == (1, "its key is revoked", "revoked")


def test_a_person_reads_whose_token_it_is(here: Installation, sign: Sign) -> None:
    code, out, _ = here.keys("verify", sign(sub="\x1b[2J\u202e"))
    lines = out.splitlines()
    assert (code, lines[0]) == (0, "valid: signed by a published key")
    assert lines[1:5] == [
        f"kid     {here.kid('active')}",
        "alg     ES256",
        "state   active",
        'typ     "at+jwt"',
    ]
    assert json.loads(lines[5].removeprefix("claims"))["sub"] == "\x1b[2J\u202e"
    assert all(line.isprintable() for line in lines)


def test_a_token_comes_from_standard_input_too(
    here: Installation, sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(sign() + "\n"))
    assert verdict_of_stdin(here) == (0, True)


def verdict_of_stdin(here: Installation) -> tuple[int, bool]:
    code, out, _ = here.keys("verify", "-", "--json")
    return code, json.loads(out)["valid"]


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://other.example"}, "its issuer is another one"),
        ({"exp": 1_000_000_000}, "it expired "),
        ({"exp": 0, "iss": None}, "its issuer is another one; it expired "),
        ({"exp": "tomorrow"}, "its exp is not a time"),
    ],
)
def test_a_token_that_is_not_good_is_told_why(
    here: Installation, sign: Sign, claims: dict[str, Any], why: str
) -> None:
    code, reason, state = verdict(here, sign(**claims))
    assert (code, state) == (1, "active")
    assert reason.startswith(why)


def test_a_token_that_is_not_ours_is_told_why(here: Installation, sign: Sign) -> None:
    header, payload, signature = sign().split(".")
    other = b64url(b'{"sub":"other"}')
    nobody = b64url(json.dumps({"alg": "ES256", "kid": "nobody", "typ": "JWT"}).encode())
    loud = b64url(
        json.dumps({"alg": "ES256", "kid": here.kid("active"), "typ": "\x1b[2J"}).encode()
    )
    none = b64url(json.dumps({"alg": "none", "kid": here.kid("active"), "typ": "JWT"}).encode())
    jku = b64url(
        json.dumps({"alg": "ES256", "kid": here.kid("active"), "jku": "https://x"}).encode()
    )
    stranger = "it names no signing key of ours in its kid"
    for token, why in (
        (f"{header}.{other}.{signature}", "signature is wrong"),
        (f"{loud}.{payload}.{signature}", "signature is wrong"),
        (f"{none}.{payload}.", "not a compact JWS"),
        (f"{none}.{payload}.{signature}", "alg is not accepted here"),
        (f"{jku}.{payload}.{signature}", "header is not just alg, kid and typ"),
        (f"{header}.{payload}", "not a compact JWS"),
        (f"{nobody}.{payload}.{signature}", stranger),
        (f"{b64url(b'{}')}.{payload}.{signature}", stranger),
        (f"{header}.a.b.c.d", "it is encrypted: only its recipient can read it"),
        ("garbage", "it is not a signed token"),
        ("", "it is not a signed token"),
        ("Bearer x.y.z", "it is not a signed token"),
        ("пароль", "it is not a signed token"),
        (b64url(b"[1]") + ".x.y", "it is not a signed token"),
    ):
        assert verdict(here, token)[:2] == (1, why), token
        assert all(line.isprintable() for line in here.keys("verify", token)[1].splitlines())
