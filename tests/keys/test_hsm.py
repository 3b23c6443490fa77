"""Keys in a PKCS#11 token: SoftHSM's, which keeps it in a directory of the test's own."""

import _ctypes
import asyncio
import ctypes
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pkcs11
import pytest
from joserfc import jws
from joserfc.jwk import import_key
from pkcs11 import Attribute, KeyType

from conf.model import HsmSettings
from keys import pkcs11_sessions
from keys.errors import HsmError, UnusableKey
from keys.hsm import Hsm, HsmKey
from keys.pkcs11_sessions import Session
from keys.signing import ALGORITHMS, SigningKey, verify

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
SETTINGS = HsmSettings(MODULE, token_label="idp", pin="1234")
PAYLOAD = b'{"sub":"customer"}'

# joserfc tells whoever uses RFC 8037's name that RFC 9864 has another one.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


def make_token(pin: str = SETTINGS.pin) -> None:
    command = ["softhsm2-util", "--init-token", "--free", "--label", SETTINGS.token_label]
    subprocess.run([*command, "--pin", pin, "--so-pin", "5678"], check=True, capture_output=True)


@pytest.fixture
def tokens(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where SoftHSM keeps its tokens: there is one, which is empty."""
    tokens = directory / "tokens"
    tokens.mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    make_token()
    return tokens


@pytest.fixture
def hsm(tokens: Path) -> Iterator[Hsm]:
    hsm = Hsm(SETTINGS)
    yield hsm
    hsm.close()


@pytest.fixture
def key(hsm: Hsm) -> HsmKey:
    return hsm.generate("ES256")


def claims_of(token: str, key: HsmKey) -> dict[str, Any]:
    return verify(token, keys={key.kid: key}, typ="at+jwt", algs=(key.alg,))


def in_the_token(hsm: Hsm, kid: str) -> int:
    return hsm._sessions.run(lambda session: len(session.key_objects(kid)), doing="count")


def lose_the_sessions() -> None:
    """Do to them what a token does that is reset: end them all."""
    library = ctypes.CDLL(str(MODULE))
    slots = (ctypes.c_ulong * 8)()
    count = ctypes.c_ulong(len(slots))
    assert library.C_GetSlotList(1, slots, ctypes.byref(count)) == 0
    for slot in slots[: count.value]:
        library.C_CloseAllSessions(ctypes.c_ulong(slot))


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_token_that_the_hsm_signed_verifies(hsm: Hsm, alg: str) -> None:
    key = await asyncio.to_thread(hsm.generate, alg)

    token = await key.sign(PAYLOAD, typ="at+jwt")

    assert claims_of(token, key) == {"sub": "customer"}
    published = import_key(json.loads(json.dumps(key.public_jwk)))
    signed = jws.deserialize_compact(token, published, algorithms=[alg])
    assert signed.payload == PAYLOAD
    assert signed.headers() == {"alg": alg, "kid": published.thumbprint(), "typ": "at+jwt"}


def test_an_algorithm_that_the_token_lacks_leaves_no_key(hsm: Hsm, directory: Path) -> None:
    with (directory / "softhsm2.conf").open("a") as configuration:
        configuration.write("slots.mechanisms = CKM_RSA_PKCS_KEY_PAIR_GEN,CKM_RSA_PKCS\n")

    with pytest.raises(HsmError, match=r"'idp' cannot .*: MechanismInvalid$"):
        hsm.generate("PS256")

    assert not hsm._sessions.run(lambda it: list(it.objects.get_objects()), doing="look")


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
async def test_the_private_part_cannot_be_read(hsm: Hsm, alg: str) -> None:
    key = await asyncio.to_thread(hsm.generate, alg)

    def attack(session: Session) -> None:
        private: Any = session.private_key(key.kid)
        secret = Attribute.PRIVATE_EXPONENT if alg == "RS256" else Attribute.VALUE
        with pytest.raises(pkcs11.AttributeSensitive):
            private[secret]
        for attribute in (Attribute.SENSITIVE, Attribute.EXTRACTABLE):
            with pytest.raises(pkcs11.AttributeReadOnly):
                private[attribute] = not private[attribute]
        wrapping: Any = session.objects.generate_key(KeyType.AES, 256)
        with pytest.raises(pkcs11.KeyUnextractable):
            wrapping.wrap_key(private)
        assert private[Attribute.NEVER_EXTRACTABLE]
        assert private[Attribute.ALWAYS_SENSITIVE]
        assert not private[Attribute.DECRYPT]

    hsm._sessions.run(attack, doing="be attacked")


async def test_a_key_is_found_again_after_a_restart(hsm: Hsm, key: HsmKey) -> None:
    hsm.close()
    restarted = Hsm(SETTINGS)

    found = await asyncio.to_thread(restarted.key, key.public_jwk)
    token = await found.sign(PAYLOAD, typ="at+jwt")
    restarted.close()

    assert found.kid == key.kid
    assert claims_of(token, key) == {"sub": "customer"}


def test_a_key_that_is_not_in_the_token_is_refused(hsm: Hsm) -> None:
    elsewhere = SigningKey.generate("ES256")

    with pytest.raises(HsmError, match=f"'idp' cannot sign with the key {elsewhere.kid}: it has"):
        hsm.key(elsewhere.public_jwk)


def test_a_key_under_a_name_that_is_not_its_own_is_refused(hsm: Hsm, key: HsmKey) -> None:
    other = SigningKey.generate("ES256")

    def rename(session: Session) -> None:
        for found in session.key_objects(key.kid):
            found[Attribute.ID] = other.kid.encode()

    hsm._sessions.run(rename, doing="rename")

    with pytest.raises(HsmError, match=f"signs with another key than {other.kid}"):
        hsm.key(other.public_jwk)


def test_an_algorithm_that_is_not_ours_is_refused(hsm: Hsm, key: HsmKey) -> None:
    with pytest.raises(UnusableKey):
        hsm.key(dict(key.public_jwk) | {"alg": "ES512"})


async def test_a_destroyed_key_is_gone_and_may_be_destroyed_again(hsm: Hsm, key: HsmKey) -> None:
    other = await asyncio.to_thread(hsm.generate, "ES256")
    assert in_the_token(hsm, key.kid) == 2

    hsm.destroy(key.kid)
    hsm.destroy(key.kid)

    assert in_the_token(hsm, key.kid) == 0
    with pytest.raises(HsmError, match="it has no such key"):
        await key.sign(PAYLOAD, typ="at+jwt")
    assert claims_of(await other.sign(PAYLOAD, typ="at+jwt"), other)


async def test_many_signatures_at_the_same_time_are_each_of_their_own_token(
    hsm: Hsm, key: HsmKey
) -> None:
    other = await asyncio.to_thread(hsm.generate, "RS256")
    keys = {it.kid: it for it in (key, other)}

    async def sign(number: int) -> dict[str, Any]:
        signer = key if number % 4 else other
        token = await signer.sign(b'{"number":%d}' % number, typ="at+jwt")
        return verify(token, keys=keys, typ="at+jwt", algs=(signer.alg,))

    claims = await asyncio.gather(*(sign(number) for number in range(200)))

    assert claims == [{"number": number} for number in range(200)]


async def test_the_event_loop_goes_on_while_the_token_is_busy(hsm: Hsm, key: HsmKey) -> None:
    with hsm._sessions._condition:  # whoever signs has to wait for it, unless it is this thread
        signing = asyncio.ensure_future(key.sign(PAYLOAD, typ="at+jwt"))
        for _ in range(1000):
            await anyio.lowlevel.checkpoint()
        assert not signing.done()

    assert claims_of(await signing, key) == {"sub": "customer"}


async def test_lost_sessions_are_replaced(hsm: Hsm, key: HsmKey) -> None:
    lose_the_sessions()

    tokens = await asyncio.gather(*(key.sign(PAYLOAD, typ="at+jwt") for _ in range(20)))

    assert [claims_of(token, key) for token in tokens] == [{"sub": "customer"}] * 20


def test_a_lost_session_is_replaced_before_a_search(hsm: Hsm, key: HsmKey) -> None:
    lose_the_sessions()

    assert in_the_token(hsm, key.kid) == 2


def test_a_lost_login_is_replaced_before_a_session_is_opened(hsm: Hsm, key: HsmKey) -> None:
    hsm._sessions._idle.clear()
    lose_the_sessions()

    assert hsm.key(key.public_jwk).kid == key.kid


async def test_a_library_that_was_finalised_is_started_again(hsm: Hsm, key: HsmKey) -> None:
    ctypes.CDLL(str(MODULE)).C_Finalize(None)

    assert claims_of(await key.sign(PAYLOAD, typ="at+jwt"), key) == {"sub": "customer"}


def test_a_token_that_was_away_is_asked_again_after_a_pause(
    hsm: Hsm, key: HsmKey, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pkcs11_sessions, "_PAUSE", 3600.0)
    lose_the_sessions()
    aside = tokens.rename(tokens.with_name("aside"))
    tokens.mkdir()
    with pytest.raises(HsmError, match="knows no token 'idp'"):
        hsm.key(key.public_jwk)

    tokens.rmdir()
    aside.rename(tokens)

    with pytest.raises(HsmError, match="knows no token 'idp'"):
        hsm.key(key.public_jwk)
    hsm._sessions._refused_until = time.monotonic()  # the pause is over
    assert hsm.key(key.public_jwk).kid == key.kid


def test_what_a_token_that_was_away_seems_to_lack_is_looked_for_anew(
    hsm: Hsm, key: HsmKey, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pkcs11_sessions, "_FRESH", 3600.0)
    aside = tokens.rename(tokens.with_name("aside"))
    assert in_the_token(hsm, key.kid) == 0
    aside.rename(tokens)
    assert in_the_token(hsm, key.kid) == 0  # SoftHSM has forgotten it

    monkeypatch.setattr(pkcs11_sessions, "_FRESH", 0.0)
    assert in_the_token(hsm, key.kid) == 2


def test_a_key_is_missed_when_the_token_was_made_anew(hsm: Hsm, key: HsmKey, tokens: Path) -> None:
    lose_the_sessions()
    shutil.rmtree(tokens)
    tokens.mkdir()
    make_token()

    with pytest.raises(HsmError, match="it has no such key"):
        hsm.key(key.public_jwk)


def test_a_wrong_pin_is_refused_and_not_tried_again(
    tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pkcs11_sessions, "_PAUSE", 0.0)
    hsm = Hsm(replace(SETTINGS, pin="4321"))
    with pytest.raises(HsmError, match="'idp' refuses the PIN") as first:
        hsm.generate("ES256")

    shutil.rmtree(tokens)
    tokens.mkdir()
    make_token(pin="4321")  # now it would be the right one

    with pytest.raises(HsmError) as again:
        hsm.generate("ES256")
    hsm.close()
    assert str(again.value) == str(first.value)
    assert "4321" not in str(first.value)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"module": Path("/nowhere.so")}, "the PKCS#11 library /nowhere.so cannot be used"),
        ({"module": Path(__file__)}, f"the PKCS#11 library {__file__} cannot be used"),
        ({"module": Path(_ctypes.__file__)}, f"the PKCS#11 library {_ctypes.__file__} cannot be"),
        ({"token_label": "other"}, "knows no token 'other'"),
    ],
)
def test_what_is_missing_is_named(tokens: Path, changed: dict[str, Any], what: str) -> None:
    hsm = Hsm(replace(SETTINGS, **changed))

    with pytest.raises(HsmError, match=what):
        hsm.generate("ES256")

    hsm.close()


def test_a_second_hsm_in_the_same_process_is_refused(hsm: Hsm, key: HsmKey) -> None:
    second = Hsm(SETTINGS)

    with pytest.raises(HsmError, match="cannot be used: C_Initialize answered 0x00000191"):
        second.key(key.public_jwk)

    assert hsm.key(key.public_jwk).kid == key.kid


SIGN_IN_ANOTHER_PROCESS = """
import asyncio, json, pathlib, sys
from conf.model import HsmSettings
from keys.hsm import Hsm

async def main(module, label, pin, public_jwk):
    hsm = Hsm(HsmSettings(pathlib.Path(module), label, pin))
    key = await asyncio.to_thread(hsm.key, json.loads(public_jwk))
    print(*[await key.sign(b'{"sub":"customer"}', typ="at+jwt") for _ in range(20)], sep="\\n")
    hsm.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_several_processes_sign_with_one_key(hsm: Hsm, key: HsmKey) -> None:
    arguments = [str(MODULE), SETTINGS.token_label, SETTINGS.pin, json.dumps(key.public_jwk)]
    command = [sys.executable, "-c", SIGN_IN_ANOTHER_PROCESS, *arguments]

    answers = await asyncio.gather(*(anyio.run_process(command, check=False) for _ in range(2)))

    assert not [answer.stderr for answer in answers if answer.returncode]
    tokens = [token for answer in answers for token in answer.stdout.decode().split()]
    tokens.append(await key.sign(PAYLOAD, typ="at+jwt"))
    assert [claims_of(token, key) for token in tokens] == [{"sub": "customer"}] * 41
