"""`idp keys` and `idp secrets` beside a server that goes on: they are processes of their own."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from keys.sealing import create_key_encryption_key
from tests.http.provider import (
    PHONE_OTP,
    Browser,
    RelyingParty,
    Running,
    hidden_fields,
    new_phone,
    new_test_number,
    parameters_of,
    provider,
)
from tests.process.processes import eventually
from tests.process.server import running

SETTINGS = "keys = { propagation_seconds = 1 }\notp = { resend_after_seconds = 0 }\n"
SECONDS = 10.0


@pytest.fixture
def server() -> Iterator[Running]:
    with provider(workers=2, toml=SETTINGS) as server:
        yield server


@pytest.fixture
def browse(server: Running) -> Iterator[Callable[[], Browser]]:
    """Gives browsers, each with cookies of its own."""
    with contextlib.ExitStack() as stack:

        def browse() -> Browser:
            browser = Browser(server)
            stack.enter_context(browser.http)
            return browser

        yield browse


def command(server: Running, *arguments: str, given: str = "") -> tuple[int, str, str]:
    """The exit code of a command, what it printed and what it lamented."""
    done = subprocess.run(
        arguments_of(server, *arguments),
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout, done.stderr


def arguments_of(server: Running, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "idp", *arguments, "--config", f"{server.directory}/idp.toml"]


def done(server: Running, *arguments: str) -> str:
    code, out, err = command(server, *arguments)
    assert code == 0, err
    return out


def kid_of(server: Running, state: str, alg: str = "ES256") -> str:
    rows = json.loads(done(server, "keys", "list", "--json"))
    (kid,) = (row["kid"] for row in rows if (row["alg"], row["state"]) == (alg, state))
    return str(kid)


def at_terminal(server: Running, typed: str, *arguments: str) -> tuple[int, str]:
    """The exit code of a command at whose terminal somebody types, and what it lamented."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        done = subprocess.run(
            arguments_of(server, *arguments),
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, done.stderr


def verdict(server: Running, token: str) -> tuple[bool, str]:
    code, out, _ = command(server, "keys", "verify", "-", "--json", given=f"{token}\n")
    found = json.loads(out)
    assert found["valid"] == (code == 0)
    return found["valid"], found["state"]


def jwks(server: Running) -> Any:
    with server.client() as client:
        return client.get("/jwks").json()


def test_the_exported_jwk_set_is_the_published_one(server: Running) -> None:
    assert json.loads(done(server, "keys", "export", "--public")) == jwks(server)
    first = kid_of(server, "active", "ECDH-ES")
    done(server, "keys", "rotate", "ECDH-ES", "--force", "--reason", "drill")
    done(server, "keys", "rotate", "RS256", "--force", "--reason", "drill")
    exported = json.loads(done(server, "keys", "export", "--public"))
    assert first not in {jwk["kid"] for jwk in exported["keys"]}
    for _ in range(8):  # whichever worker answers
        eventually(lambda: jwks(server) == exported, "all publish it", SECONDS)


def test_the_tokens_of_a_server_are_verified_until_their_key_is_revoked(
    server: Running, browse: Callable[[], Browser]
) -> None:
    tokens = browse().tokens(RelyingParty(server), new_test_number())
    access_token, id_token = tokens["access_token"], tokens["id_token"]
    kid = kid_of(server, "active")
    assert verdict(server, access_token) == verdict(server, id_token) == (True, "active")
    done(server, "keys", "rotate", "ES256", "--force", "--reason", "drill")
    assert verdict(server, access_token) == verdict(server, id_token) == (True, "retiring")
    assert server.userinfo(access_token).status_code == HTTPStatus.OK

    revoke = ("keys", "revoke", kid, "--reason", "drill")
    code, said = at_terminal(server, f"{kid[:-1]}\n", *revoke)
    assert code == 1
    assert "ES256, retiring: every token of this key will be refused for ever." in said
    assert f"Type {kid} to go on" in said
    assert said.endswith("idp: not confirmed; nothing was changed\n")
    assert verdict(server, access_token) == (True, "retiring")

    code, said = at_terminal(server, f"{kid}\n", *revoke)
    assert code == 0, said
    assert verdict(server, access_token) == verdict(server, id_token) == (False, "revoked")
    for _ in range(8):
        eventually(
            lambda: server.userinfo(access_token).status_code == HTTPStatus.UNAUTHORIZED,
            "refused",
            SECONDS,
        )
    # It is revoked: there is nothing to confirm.
    assert at_terminal(server, "", *revoke)[0] == 0


def test_a_server_takes_up_a_key_that_is_imported(
    server: Running, browse: Callable[[], Browser], directory: Path
) -> None:
    pem = subprocess.run(
        ["openssl", "ecparam", "-name", "prime256v1", "-genkey"], check=True, capture_output=True
    ).stdout
    (directory / "pem").write_bytes(pem)
    kid = json.loads(done(server, "keys", "import", f"{directory}/pem", "ES256", "--json"))["kid"]
    done(server, "keys", "rotate", "ES256", "--force", "--reason", "drill")

    def signs() -> bool:
        tokens = browse().tokens(RelyingParty(server), new_test_number())
        _, out, _ = command(server, "keys", "verify", tokens["access_token"], "--json")
        return bool(json.loads(out)["kid"] == kid)

    eventually(signs, "the imported key signs", SECONDS)


def test_a_revocation_without_the_key_encryption_key_leaves_the_rest_to_the_server(
    server: Running,
) -> None:
    active, waiting = kid_of(server, "active"), kid_of(server, "next")
    file = server.directory / "key-encryption-key"
    file.rename(server.directory / "lost")
    code, out, err = command(server, "keys", "revoke", active, "--yes", "--reason", "drill")
    assert (code, out) == (0, f"{active} is revoked\n")
    assert "a running server makes the next key by itself\n" in err
    assert kid_of(server, "active") == waiting

    def has_next() -> bool:
        return any(
            jwk["kid"] not in (active, waiting) and jwk["alg"] == "ES256"
            for jwk in jwks(server)["keys"]
        )

    eventually(has_next, "there is a next key again", SECONDS)
    assert kid_of(server, "next") not in (active, waiting)


def test_a_server_changes_its_key_encryption_key(server: Running) -> None:
    config = server.directory / "idp.toml"
    plain = config.read_text()
    old, new = (f'{{ id = "{name}", file = "{name}" }}' for name in ("development", "new"))
    (server.directory / "key-encryption-key").rename(server.directory / "development")
    create_key_encryption_key(server.directory / "new")

    def with_keys(*keys: str) -> tuple[str, ...]:
        config.write_text(f"key_encryption_keys = [{', '.join(keys)}]\n{plain}")
        return "serve", "--config", str(config)

    published = jwks(server)
    assert server.server.stop() == 0
    arguments = with_keys(new)
    refused = subprocess.run(
        [sys.executable, "-m", "idp", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert refused.returncode == 1
    assert refused.stderr.endswith(
        "under the key-encryption key 'development', which the settings do not name\n"
    )
    assert refused.stderr.count("\n") == 1

    with running(server.directory, server.server.port, *with_keys(new, old)) as between:
        out = done(server, "keys", "reseal", "--reason", "yearly")
        assert out.endswith("all is sealed with new\n")
        assert json.loads(between.get("/jwks")[1]) == published
        assert between.stop() == 0
    (server.directory / "development").unlink()
    with running(server.directory, server.server.port, *with_keys(new)) as after:
        assert json.loads(after.get("/jwks")[1]) == published
        assert after.stop() == 0


def test_logins_in_progress_outlive_a_rotation_of_the_secrets(
    server: Running, browse: Callable[[], Browser]
) -> None:
    party, phone, bot_phone = RelyingParty(server), new_phone(), new_phone()
    bot = RelyingParty(server, "demo-bot")
    session = bot.post("/otp", phone=bot_phone).json()["otp_session"]
    early, middle, late = (browse() for _ in range(3))
    for browser in (early, middle, late):
        browser.authorize(party)
    forms = [form_of(browser) for browser in (early, middle, late)]
    early.submit("phone", csrf=forms[0], phone=phone)
    code, bot_code = server.code_for(phone), server.code_for(bot_phone)

    for name in ("csrf", "otp"):
        done(server, "secrets", "rotate", name, "--reason", "drill")
    assert (
        middle.submit("phone", csrf=forms[1], phone=new_phone()).status_code == HTTPStatus.SEE_OTHER
    )
    for _ in range(8):  # whichever worker answers
        eventually(lambda: form_of(late) != forms[2], "the new version is used", SECONDS)

    assert (
        late.submit("phone", csrf=forms[2], phone=new_phone()).status_code == HTTPStatus.SEE_OTHER
    )
    assert early.submit("resend", csrf=forms[0]).status_code == HTTPStatus.SEE_OTHER
    assert [message["code"] for message in server.messages_for(phone)] == [code, code]
    response = early.submit("code", csrf=forms[0], code=code)
    assert response.headers["location"].endswith("/profile")
    answer = early.submit("profile", csrf=forms[0], given_name="Анна", terms="accepted")
    assert party.redeem(parameters_of(answer)["code"]).status_code == HTTPStatus.OK
    answer = bot.token(grant_type=PHONE_OTP, otp_session=session, otp=bot_code)
    assert answer.status_code == HTTPStatus.OK
    # A code that is made from now on is of the new version.
    assert browse().sign_in(party, new_phone()).keys() >= {"code"}


def form_of(browser: Browser) -> str:
    return hidden_fields(browser.get("phone").text)["csrf"]
