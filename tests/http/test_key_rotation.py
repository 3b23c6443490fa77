"""Rotation and revocation of signing keys under a running server with two workers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conf.model import HsmSettings
from tests.http.provider import (
    PHONE_OTP,
    TEST_CODE,
    RelyingParty,
    Running,
    claims_of,
    header_of,
    provider,
)
from tests.keys.test_hsm import MODULE, make_token
from tests.keys.test_hsm import SETTINGS as HSM
from tests.process.processes import eventually

# A new process of the server answers each connection or the other: so many see them both.
ENOUGH = 20
SECONDS = 15.0
HASTY = "[keys]\njwks_max_age_seconds = 0\npropagation_seconds = 1\n"


@pytest.fixture
def running() -> Iterator[Running]:
    with provider(workers=2, toml=HASTY) as started:
        yield started


def keys_command(running: Running, *arguments: str) -> Any:
    command = [sys.executable, "-m", "idp", "keys", *arguments, "--json"]
    done = subprocess.run(
        [*command, "--config", str(running.directory / "idp.toml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kid_of(running: Running, state: str, alg: str = "ES256") -> str:
    (kid,) = [
        key["kid"]
        for key in keys_command(running, "list")
        if (key["alg"], key["state"]) == (alg, state)
    ]
    return str(kid)


def jwks_kids(running: Running) -> set[str]:
    with running.client() as client:
        return {key["kid"] for key in client.get("/jwks").json()["keys"]}


def tokens(running: Running) -> dict[str, str]:
    bot = RelyingParty(running, client_id="demo-bot")
    session = bot.post("/otp", phone="+79990000000").json()["otp_session"]
    answer: dict[str, str] = bot.token(
        grant_type=PHONE_OTP, otp_session=session, otp=TEST_CODE, scope="openid"
    ).json()
    return answer


def signed_with(running: Running, kid: str) -> bool:
    """Whether every worker signs with this key."""
    return all(header_of(tokens(running)["access_token"])["kid"] == kid for _ in range(ENOUGH // 2))


def refused(running: Running, access_token: str) -> bool:
    """Whether every worker refuses this token."""
    return all(running.userinfo(access_token).status_code == 401 for _ in range(ENOUGH))


def test_a_rotation_is_told_before_it_happens_and_breaks_no_token(running: Running) -> None:
    before = tokens(running)
    cached = jwks_kids(running)
    old, waiting = kid_of(running, "active"), kid_of(running, "next")

    told = keys_command(running, "rotate", "ES256", "--reason", "exercise")
    assert (told["kid"], told["state"]) == (waiting, "next")
    eventually(lambda: signed_with(running, waiting), "every worker signs anew", SECONDS)

    assert waiting in cached
    assert {old, waiting} <= jwks_kids(running)
    assert running.userinfo(before["access_token"]).status_code == 200
    successor = kid_of(running, "next")
    assert successor not in cached
    assert successor in jwks_kids(running)


def test_tokens_of_a_revoked_key_are_refused_everywhere_and_the_known_next_key_signs(
    running: Running,
) -> None:
    before = tokens(running)
    assert not refused(running, before["access_token"])
    cached = jwks_kids(running)
    waiting = kid_of(running, "next")
    active = kid_of(running, "active")

    told = keys_command(running, "revoke", active, "--reason", "drill", "--yes")
    assert told["state"] == "revoked"
    eventually(lambda: refused(running, before["access_token"]), "all refuse it", SECONDS)

    assert active not in jwks_kids(running)
    assert waiting in cached
    assert signed_with(running, waiting)
    answer = running.userinfo(before["access_token"])
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    after = tokens(running)
    assert running.userinfo(after["access_token"]).status_code == 200


def test_a_key_rotates_by_itself() -> None:
    toml = HASTY + "[keys.rotation_seconds]\nES256 = 3\n"
    with provider(workers=2, toml=toml) as running:
        first = kid_of(running, "active")
        before = tokens(running)

        def turned_twice() -> bool:
            active = kid_of(running, "active")
            retiring = [it for it in keys_command(running, "list") if it["state"] == "retiring"]
            return active != first and len(retiring) >= 2

        eventually(turned_twice, "the key has turned twice", SECONDS)

        assert running.userinfo(before["access_token"]).status_code == 200
        states = [it["state"] for it in keys_command(running, "list") if it["alg"] == "ES256"]
        assert states.count("active") == states.count("next") == 1


def test_signing_moves_into_a_hardware_security_module(
    running_with_hsm: Running,
) -> None:
    running = running_with_hsm
    made = keys_command(running, "generate", "ES256", "--hsm", "--reason", "moving in")
    assert made["hsm"]
    assert made["state"] == "next"

    keys_command(running, "rotate", "ES256", "--reason", "moving in")
    eventually(lambda: signed_with(running, made["kid"]), "every worker signs there", SECONDS)

    signed = tokens(running)
    assert running.userinfo(signed["access_token"]).status_code == 200
    shown = keys_command(running, "verify", signed["access_token"])
    assert shown["valid"]
    assert claims_of(signed["access_token"]) == shown["claims"]


def test_nothing_is_spent_while_the_module_is_away(
    running_with_hsm: Running, tmp_path_factory: pytest.TempPathFactory
) -> None:
    running = running_with_hsm
    made = keys_command(running, "generate", "ES256", "--hsm", "--reason", "moving in")
    keys_command(running, "rotate", "ES256", "--reason", "moving in")
    eventually(lambda: signed_with(running, made["kid"]), "every worker signs there", SECONDS)
    bot = RelyingParty(running, client_id="demo-bot")
    kept = bot.post("/otp", phone="+79990000001").json()["otp_session"]

    def redeem(session: str) -> int:
        answer = bot.token(grant_type=PHONE_OTP, otp_session=session, otp=TEST_CODE, scope="openid")
        return answer.status_code

    tokens = Path(os.environ["SOFTHSM2_CONF"]).with_name("tokens")
    away = tokens.rename(tokens.with_name("away"))
    # A session that nobody has: an answer other than 503 would be 400.
    eventually(lambda: all(redeem("nothing") == 503 for _ in range(ENOUGH)), "all notice", SECONDS)
    assert redeem(kept) == 503

    away.rename(tokens)
    eventually(lambda: all(redeem("nothing") == 400 for _ in range(ENOUGH)), "it is back", SECONDS)
    assert redeem(kept) == 200


@pytest.fixture
def running_with_hsm(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("softhsm")
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory / 'tokens'}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    make_token()
    with provider(workers=2, toml=HASTY + hsm_table(HSM)) as started:
        yield started


def hsm_table(hsm: HsmSettings) -> str:
    return f'[hsm]\nmodule = "{MODULE}"\ntoken_label = "{hsm.token_label}"\npin = "{hsm.pin}"\n'
