"""Keys in a hardware security module live the same life: SoftHSM's, in a directory of its own."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from keys.errors import HsmError, InvalidToken, SealError, SigningUnavailable
from keys.hashing import b64url_decode
from keys.hsm import Hsm
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from storage.records import SigningKeyRow
from storage.store import Store
from tests.keys.rings import LIFETIME, NOW, OPERATOR, SEALER, SETTINGS, life_cycle, row_of
from tests.keys.test_hsm import SETTINGS as HSM
from tests.keys.test_hsm import in_the_token, tokens

__all__ = ["tokens"]  # a fixture


@pytest.fixture
def keys(fresh_store: Store, tokens: Path) -> Iterator[LifeCycle]:
    hsm = Hsm(HSM)
    yield LifeCycle(fresh_store, SEALER, SETTINGS, LIFETIME, hsm)
    hsm.close()


def kid_of(token: str) -> str:
    return str(json.loads(b64url_decode(token.split(".", maxsplit=1)[0]))["kid"])


def held(keys: LifeCycle, row: SigningKeyRow) -> int:
    assert keys.hsm is not None
    return in_the_token(keys.hsm, row.kid)


async def into_the_module(keys: LifeCycle, store: Store, now: int = NOW) -> SigningKeyRow:
    """A next key in the module."""
    made = await keys.new_key("ES256", hsm=True, now=now)
    await keys.replace(made, by=OPERATOR, now=now)
    return await row_of(store, "next")


async def begin_to_sign(keys: LifeCycle, row: SigningKeyRow, now: int) -> None:
    await keys.schedule(row.kid, activates_at=now, force=True, by=OPERATOR, now=now)
    await keys.turn(row, by=OPERATOR, now=now)


async def test_a_key_moves_into_the_module_and_its_successors_stay_there(
    fresh_store: Store, keys: LifeCycle
) -> None:
    ring = await KeyRing.open(keys, NOW)
    waiting = await into_the_module(keys, fresh_store)
    assert waiting.hsm
    assert waiting.sealed_private is None
    await begin_to_sign(keys, waiting, NOW + 1)
    await ring.reload(NOW + 1)
    await ring.tend(NOW + 1)

    token = await ring.sign({"n": 1}, alg="ES256", typ="at+jwt")

    assert kid_of(token) == waiting.kid
    assert ring.verify(token, typ="at+jwt", algs=("ES256",)) == {"n": 1}
    assert waiting.kid in [key["kid"] for key in ring.jwks()["keys"]]
    successor = await row_of(fresh_store, "next")
    assert successor.hsm
    assert held(keys, successor) == held(keys, waiting) == 2  # its private and its public part


async def test_the_key_before_it_signs_until_the_module_has_opened_the_next_one(
    fresh_store: Store, keys: LifeCycle
) -> None:
    ring = await KeyRing.open(keys, NOW)
    before = await row_of(fresh_store, "active")
    waiting = await into_the_module(keys, fresh_store)
    await begin_to_sign(keys, waiting, NOW + 1)

    await ring.reload(NOW + 1)
    assert kid_of(await ring.sign({}, alg="ES256", typ="at+jwt")) == before.kid
    await ring.tend(NOW + 1)
    assert kid_of(await ring.sign({}, alg="ES256", typ="at+jwt")) == waiting.kid


async def test_a_revoked_key_does_not_sign_although_the_module_has_not_opened_the_next_one(
    fresh_store: Store, keys: LifeCycle
) -> None:
    ring = await KeyRing.open(keys, NOW)
    before = await row_of(fresh_store, "active")
    await into_the_module(keys, fresh_store)

    await keys.revoke(before, by=OPERATOR, now=NOW + 1)
    await ring.reload(NOW + 1)

    with pytest.raises(SigningUnavailable):
        ring.must_sign("ES256")
    await ring.tend(NOW + 1)
    ring.must_sign("ES256")


async def test_a_revocation_is_followed_while_the_module_does_not_answer(
    fresh_store: Store, keys: LifeCycle, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = await KeyRing.open(keys, NOW)
    token = await ring.sign({}, alg="EdDSA", typ="at+jwt")
    await into_the_module(keys, fresh_store)
    await ring.reload(NOW)
    answering = threading.Event()
    monkeypatch.setattr(Hsm, "key", lambda *_: answering.wait(30))
    tending = asyncio.create_task(ring.tend(NOW))
    await asyncio.sleep(0.05)

    await keys.revoke(await row_of(fresh_store, "active", "EdDSA"), by=OPERATOR, now=NOW + 1)
    await ring.reload(NOW + 1)

    assert not tending.done()
    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify(token, typ="at+jwt", algs=("EdDSA",))
    with pytest.raises(HsmError, match="has not answered for 5 seconds"):
        await tending
    answering.set()


async def test_what_leaves_is_destroyed_in_the_module_and_still_verifies(
    fresh_store: Store, keys: LifeCycle
) -> None:
    ring = await KeyRing.open(keys, NOW)
    waiting = await into_the_module(keys, fresh_store)
    await begin_to_sign(keys, waiting, NOW + 1)
    await ring.reload(NOW + 1)
    await ring.tend(NOW + 1)
    token = await ring.sign({"n": 1}, alg="ES256", typ="at+jwt")
    await begin_to_sign(keys, await row_of(fresh_store, "next"), NOW + 2)
    await ring.reload(NOW + 2)

    await ring.tend(NOW + 2)

    rows = {row.kid: row for row in await fresh_store.signing_keys()}
    assert rows[waiting.kid].state == "retiring"
    assert not rows[waiting.kid].hsm
    assert held(keys, waiting) == 0
    assert ring.verify(token, typ="at+jwt", algs=("ES256",)) == {"n": 1}


async def test_a_revoked_key_is_destroyed_in_the_module(
    fresh_store: Store, keys: LifeCycle
) -> None:
    ring = await KeyRing.open(keys, NOW)
    waiting = await into_the_module(keys, fresh_store)

    await keys.revoke(waiting, by=OPERATOR, now=NOW + 1)
    await ring.reload(NOW + 1)
    await ring.tend(NOW + 1)

    assert held(keys, waiting) == 0
    successor = await row_of(fresh_store, "next")
    assert successor.hsm
    assert held(keys, successor) == 2


async def test_of_many_nodes_that_turn_a_key_none_leaves_a_key_behind(
    fresh_store: Store, keys: LifeCycle
) -> None:
    await KeyRing.open(keys, NOW)
    waiting = await into_the_module(keys, fresh_store)
    await keys.schedule(waiting.kid, activates_at=NOW, force=True, by=OPERATOR, now=NOW)

    await asyncio.gather(*(keys.turn(waiting, by=OPERATOR, now=NOW) for _ in range(8)))

    in_module = [row for row in await fresh_store.signing_keys() if row.hsm]
    assert sorted(row.state for row in in_module) == ["active", "next"]
    assert keys.hsm is not None
    everything = keys.hsm._sessions.run(
        lambda session: [str(it) for it in session.objects.get_objects({})], doing="count"
    )
    assert len(everything) == 2 * len(in_module), everything


async def test_a_server_without_the_module_does_not_start_and_says_why(
    fresh_store: Store, keys: LifeCycle
) -> None:
    await KeyRing.open(keys, NOW)
    await into_the_module(keys, fresh_store)

    with pytest.raises(SealError, match=r"hardware security module: configure \[hsm\]"):
        await KeyRing.open(life_cycle(fresh_store), NOW)


async def test_keys_outside_the_module_turn_although_it_does_not_answer(
    fresh_store: Store, keys: LifeCycle
) -> None:
    ring = await KeyRing.open(keys, NOW)
    waiting = await into_the_module(keys, fresh_store)
    others = await row_of(fresh_store, "next", "EdDSA")
    assert keys.hsm is not None
    keys.hsm.close()
    away = Hsm(replace(HSM, token_label="away"))
    ring._life_cycle = replace(keys, hsm=away)
    await ring.tend(NOW)
    rows = await fresh_store.signing_keys()

    with pytest.raises(HsmError):
        await replace(keys, hsm=away).advance(rows, NOW + 100 * 86_400)

    assert (await row_of(fresh_store, "active", "EdDSA")).kid == others.kid
    assert (await row_of(fresh_store, "next")).kid == waiting.kid
    away.close()
