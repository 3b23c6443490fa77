import asyncio
import json
import secrets
from dataclasses import dataclass

import asynctnt
import msgspec
import pytest
from joserfc import jwe
from joserfc.jwk import ECKey

from keys import sealed_keys
from keys.encryption import DecryptionKey
from keys.errors import InvalidToken, SealError, SigningUnavailable
from keys.hashing import b64url, b64url_decode
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import Sealer
from keys.server_secrets import SERVER_SECRETS
from keys.signing import SigningKey
from storage.child import PrivateTarantool
from storage.errors import StoreError
from storage.records import By, KeyState, ServerSecretRow, SigningKeyRow
from storage.store import Store
from tests.keys.rings import (
    DAY,
    LIFETIME,
    NOW,
    OPERATOR,
    PERIOD,
    SEALER,
    SETTINGS,
    life_cycle,
    open_ring,
    rotate,
    row_of,
)

CLAIMS = {"iss": "https://id.example", "sub": "customer", "exp": NOW + 300, "имя": "Анна"}
NAMES = [secret.name for secret in SERVER_SECRETS]


@dataclass(frozen=True, slots=True)
class Everything:
    """What two rings must have in common to serve the same provider."""

    kids: tuple[str, ...]
    secrets: tuple[bytes, ...]

    @classmethod
    def of(cls, ring: KeyRing) -> "Everything":
        return cls(
            tuple(jwk["kid"] for jwk in ring.jwks()["keys"]),
            tuple(ring.secret(name) for name in NAMES),
        )


def key_row(
    key: SigningKey, sealer: Sealer = SEALER, state: KeyState = "retiring"
) -> SigningKeyRow:
    return msgspec.structs.replace(
        sealed_keys.seal(key, sealer, NOW), state=state, retires_at=NOW + DAY
    )


async def put(tarantool: PrivateTarantool, row: SigningKeyRow) -> None:
    """Write a row as somebody does who can write rows, past all procedures."""
    lua = "require('rows').replace(box.space.signing_key, require('json').decode(...))"
    await as_owner(tarantool, lua, msgspec.json.encode(row).decode())


async def as_owner(tarantool: PrivateTarantool, lua: str, *arguments: str) -> None:
    connection = asynctnt.Connection(
        host="unix/",
        port=str(tarantool.socket_path),
        username="owner",
        password=(tarantool.directory / "owner.password").read_text().strip(),
        ping_timeout=0,
    )
    await connection.connect()
    await connection.eval(lua, list(arguments))
    await connection.disconnect()


async def test_a_first_ring_signs_with_every_algorithm_in_use(fresh_store: Store) -> None:
    ring = await open_ring(fresh_store)

    assert ring.algorithms() == SETTINGS.algorithms
    for alg in ring.algorithms():
        token = await ring.sign(CLAIMS, alg=alg, typ="at+jwt")
        assert ring.verify(token, typ="at+jwt", algs=(alg,)) == CLAIMS


async def test_a_token_for_another_use_is_refused_also_when_it_is_remembered(
    fresh_store: Store,
) -> None:
    ring = await open_ring(fresh_store)
    id_token = await ring.sign(CLAIMS, alg="ES256", typ="JWT")
    ring.verify(id_token, typ="JWT", algs=("ES256",))

    with pytest.raises(InvalidToken, match="typ is not the expected one"):
        ring.verify(id_token, typ="at+jwt", algs=("ES256",))
    with pytest.raises(InvalidToken, match="alg is not accepted here"):
        ring.verify(id_token, typ="JWT", algs=("EdDSA",))


async def test_a_token_of_another_provider_is_refused(fresh_store: Store) -> None:
    ring = await open_ring(fresh_store)
    stranger = await SigningKey.generate("ES256").sign(b"{}", typ="at+jwt")

    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify(stranger, typ="at+jwt", algs=("ES256",))


async def test_an_algorithm_that_is_not_in_use_does_not_sign(fresh_store: Store) -> None:
    ring = await open_ring(fresh_store)

    for alg in ("none", "HS256", "RS256", "ECDH-ES"):
        with pytest.raises(SigningUnavailable):
            await ring.sign(CLAIMS, alg=alg, typ="JWT")


async def test_the_jwk_set_has_the_active_and_next_keys_and_is_public(fresh_store: Store) -> None:
    keys = (await open_ring(fresh_store)).jwks()["keys"]

    assert [(key["alg"], key["use"]) for key in keys] == 2 * [
        ("ECDH-ES", "enc"),
        ("ES256", "sig"),
        ("EdDSA", "sig"),
    ]
    for key in keys:
        assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


async def test_what_is_encrypted_to_us_is_opened_also_after_a_rotation(fresh_store: Store) -> None:
    ring = await open_ring(fresh_store)
    published = [key for key in ring.jwks()["keys"] if key["use"] == "enc"]
    header = {"alg": "ECDH-ES", "enc": "A256GCM"}
    tokens = [
        jwe.encrypt_compact(
            header | {"kid": jwk["kid"]},
            b"a request",
            ECKey.import_key(jwk),
            algorithms=list(header.values()),
        )
        for jwk in published
    ]
    await rotate(fresh_store, NOW + 60, "ECDH-ES")
    await ring.reload(NOW + 60)

    assert [ring.decrypt(token) for token in tokens] == [b"a request"] * 2
    now_published = [key["kid"] for key in ring.jwks()["keys"] if key["use"] == "enc"]
    assert published[0]["kid"] not in now_published
    with pytest.raises(InvalidToken):
        ring.decrypt("a.b.c.d.e")


async def test_a_restarted_server_has_the_same_keys_and_secrets(fresh_store: Store) -> None:
    first = await open_ring(fresh_store)
    token = await first.sign(CLAIMS, alg="EdDSA", typ="JWT")

    second = await open_ring(fresh_store, now=NOW + 3600)

    assert Everything.of(second) == Everything.of(first)
    assert second.verify(token, typ="JWT", algs=("EdDSA",)) == CLAIMS


async def test_workers_that_start_together_share_keys_and_secrets(fresh_store: Store) -> None:
    rings = await asyncio.gather(*(open_ring(fresh_store) for _ in range(8)))

    assert len({Everything.of(ring) for ring in rings}) == 1
    assert len(await fresh_store.signing_keys()) == 2 * (len(SETTINGS.algorithms) + 1)
    assert len(await fresh_store.server_secrets()) == len(SERVER_SECRETS)


async def test_a_worker_that_has_not_heard_of_a_rotation_still_verifies_everything(
    fresh_store: Store,
) -> None:
    ring, late = await open_ring(fresh_store), await open_ring(fresh_store)
    old_token = await ring.sign(CLAIMS, alg="ES256", typ="at+jwt")
    await rotate(fresh_store, NOW + 60)

    await ring.reload(NOW + 60)
    new_token = await ring.sign(CLAIMS, alg="ES256", typ="at+jwt")
    late_token = await late.sign(CLAIMS, alg="ES256", typ="at+jwt")

    kids = [json.loads(b64url_decode(it.split(".")[0]))["kid"] for it in (new_token, late_token)]
    assert kids[0] != kids[1]
    for worker in (ring, late):
        for token in (old_token, new_token, late_token):
            assert worker.verify(token, typ="at+jwt", algs=("ES256",)) == CLAIMS


async def test_a_retired_key_proves_what_it_once_signed_and_nothing_else(
    fresh_store: Store,
) -> None:
    ring = await open_ring(fresh_store)
    token = await ring.sign(CLAIMS, alg="ES256", typ="JWT")
    retiring = await row_of(fresh_store, "active")
    await rotate(fresh_store, NOW + 60)
    await ring.reload(NOW + 60)
    assert ring.verify(token, typ="JWT", algs=("ES256",)) == CLAIMS

    await ring.tend(NOW + 60 + LIFETIME + 10)

    assert (await row_of(fresh_store, "retired")).kid == retiring.kid
    assert retiring.kid not in Everything.of(ring).kids
    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify(token, typ="JWT", algs=("ES256",))
    assert ring.verify_past(token, typ="JWT", algs=("ES256",)) == CLAIMS


async def test_a_revoked_key_verifies_nothing_although_its_tokens_were_remembered(
    fresh_store: Store,
) -> None:
    ring = await open_ring(fresh_store)
    token = await ring.sign(CLAIMS, alg="ES256", typ="JWT")
    ring.verify(token, typ="JWT", algs=("ES256",))
    waiting = await row_of(fresh_store, "next")
    active = await row_of(fresh_store, "active")

    await life_cycle(fresh_store).revoke(active, by=OPERATOR, now=NOW + 1)
    await ring.reload(NOW + 1)

    for verify in (ring.verify, ring.verify_past):
        with pytest.raises(InvalidToken, match="kid is unknown"):
            verify(token, typ="JWT", algs=("ES256",))
    assert active.kid not in Everything.of(ring).kids
    successor = await ring.sign(CLAIMS, alg="ES256", typ="JWT")
    assert json.loads(b64url_decode(successor.split(".")[0]))["kid"] == waiting.kid


async def test_a_revoked_key_is_not_brought_back_by_whoever_can_write_rows(
    fresh_store: Store, fresh_tarantool: PrivateTarantool
) -> None:
    ring = await open_ring(fresh_store)
    token = await ring.sign(CLAIMS, alg="ES256", typ="JWT")
    active = await row_of(fresh_store, "active")
    await life_cycle(fresh_store).revoke(active, by=OPERATOR, now=NOW)
    back = "box.space.signing_key:update(..., {{'=', 'state', 'retiring'}})"
    await as_owner(fresh_tarantool, back, active.kid)

    await ring.reload(NOW)
    assert "has lost its sealed public part" in str(ring.faults[0])
    with pytest.raises(SealError):
        await open_ring(fresh_store)
    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify(token, typ="JWT", algs=("ES256",))
    await ring.sign(CLAIMS, alg="ES256", typ="JWT")


async def test_a_row_that_does_not_open_keeps_no_revocation_from_counting(
    fresh_store: Store, fresh_tarantool: PrivateTarantool
) -> None:
    ring = await open_ring(fresh_store)
    token = await ring.sign(CLAIMS, alg="ES256", typ="JWT")
    await put(fresh_tarantool, key_row(SigningKey.generate("ES256"), Sealer({"no": bytes(32)})))
    active = await row_of(fresh_store, "active")
    await life_cycle(fresh_store).revoke(active, by=OPERATOR, now=NOW)

    await ring.reload(NOW)

    assert [type(fault) for fault in ring.faults] == [SealError]
    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify(token, typ="JWT", algs=("ES256",))
    await ring.sign(CLAIMS, alg="ES256", typ="JWT")


async def test_a_private_part_is_gone_from_memory_when_its_key_no_longer_signs(
    fresh_store: Store,
) -> None:
    ring = await open_ring(fresh_store)
    active = await row_of(fresh_store, "active")
    assert active.kid in ring._contents.signing
    await rotate(fresh_store, NOW + 60)

    await ring.reload(NOW + 60)

    assert active.kid not in ring._contents.signing
    assert not isinstance(ring._contents.accepted[active.kid], SigningKey)


async def test_proven_tokens_are_remembered_within_bounds(fresh_store: Store) -> None:
    ring = await open_ring(fresh_store)
    tokens = [await ring.sign({"n": number}, alg="ES256", typ="at+jwt") for number in range(2_100)]
    for token in tokens:
        ring.verify(token, typ="at+jwt", algs=("ES256",))

    assert len(ring._recent) + len(ring._older) <= 2_000
    assert ring.verify(tokens[-1], typ="at+jwt", algs=("ES256",)) is ring.verify(
        tokens[-1], typ="at+jwt", algs=("ES256",)
    )
    assert ring.verify(tokens[0], typ="at+jwt", algs=("ES256",)) == {"n": 0}


async def test_a_changed_token_is_refused_after_the_true_one_was_remembered(
    fresh_store: Store,
) -> None:
    ring = await open_ring(fresh_store)
    token = await ring.sign(CLAIMS, alg="ES256", typ="JWT")
    ring.verify(token, typ="JWT", algs=("ES256",))
    header, _, signature = token.split(".")

    with pytest.raises(InvalidToken, match="signature is wrong"):
        ring.verify(f"{header}.{b64url(b'{}')}.{signature}", typ="JWT", algs=("ES256",))


async def test_an_algorithm_that_was_withdrawn_signs_until_its_keys_are_retired(
    fresh_store: Store,
) -> None:
    ring = await open_ring(fresh_store)
    token = await ring.sign(CLAIMS, alg="EdDSA", typ="JWT")

    keys = life_cycle(fresh_store, algorithms=("ES256",))
    without = await KeyRing.open(keys, NOW)
    assert without.algorithms() == ("ES256",)
    assert without.verify(token, typ="JWT", algs=("EdDSA",)) == CLAIMS
    await without.sign(CLAIMS, alg="EdDSA", typ="JWT")

    active = await row_of(fresh_store, "active", "EdDSA")
    await keys.retire(active, force=False, by=OPERATOR, now=NOW)
    await without.reload(NOW)

    assert without.verify(token, typ="JWT", algs=("EdDSA",)) == CLAIMS
    with pytest.raises(SigningUnavailable, match="EdDSA"):
        await without.sign(CLAIMS, alg="EdDSA", typ="JWT")


async def test_a_key_of_an_algorithm_of_a_newer_version_is_left_alone(
    fresh_store: Store, fresh_tarantool: PrivateTarantool
) -> None:
    row = msgspec.structs.replace(key_row(SigningKey.generate("ES256")), alg="ML-DSA-44")
    await put(fresh_tarantool, row)

    ring = await open_ring(fresh_store)

    assert row.kid not in Everything.of(ring).kids
    assert row in await fresh_store.signing_keys()


@pytest.mark.parametrize(
    "odd", [{"use": "enc"}, {"state": "dormant"}, {"use": "wrap"}, {"alg": "ML-DSA-44"}]
)
async def test_a_row_of_another_kind_keeps_no_revocation_from_counting(
    fresh_store: Store, fresh_tarantool: PrivateTarantool, odd: dict[str, str]
) -> None:
    ring = await open_ring(fresh_store)
    token = await ring.sign(CLAIMS, alg="ES256", typ="JWT")
    strange = msgspec.structs.replace(key_row(SigningKey.generate("ES256")), **odd)
    await put(fresh_tarantool, strange)
    active = await row_of(fresh_store, "active")
    await life_cycle(fresh_store).revoke(active, by=OPERATOR, now=NOW)

    await ring.reload(NOW)

    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify(token, typ="JWT", algs=("ES256",))


async def test_a_revocation_counts_although_the_store_takes_no_new_key(
    fresh_store: Store, fresh_tarantool: PrivateTarantool
) -> None:
    impatient = await Store.connect(fresh_tarantool.socket_path, fresh_tarantool.password, 0.3)
    ring = await open_ring(impatient)
    token = await ring.sign(CLAIMS, alg="ES256", typ="JWT")
    active = await row_of(impatient, "active")
    await impatient.signing_key_revoke(
        active.kid, successor=None, policy=life_cycle(impatient).policy, by=OPERATOR, now=NOW
    )
    await as_owner(fresh_tarantool, "box.cfg({ read_only = true })")

    with pytest.raises(StoreError):
        await ring.reload(NOW)
    await impatient.close()

    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify(token, typ="JWT", algs=("ES256",))


async def test_a_wrong_key_encryption_key_is_named(fresh_store: Store) -> None:
    await open_ring(fresh_store)

    with pytest.raises(SealError, match="'tests'"):
        await open_ring(fresh_store, Sealer({"others": bytes(32)}))


async def test_a_lost_key_encryption_key_is_the_end_of_the_old_keys_and_not_of_the_server(
    fresh_store: Store,
) -> None:
    before = await open_ring(fresh_store)
    token = await before.sign(CLAIMS, alg="ES256", typ="JWT")
    new = Sealer({"new": secrets.token_bytes(32)})

    await fresh_store.keys_abandon(by=OPERATOR, now=NOW)
    ring = await open_ring(fresh_store, new)

    assert not {*Everything.of(before).kids} & {*Everything.of(ring).kids}
    assert not {*Everything.of(before).secrets} & {*Everything.of(ring).secrets}
    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify_past(token, typ="JWT", algs=("ES256",))
    await before.reload(NOW)
    assert before.faults


@pytest.mark.parametrize("state", ["active", "next", "retiring", "retired"])
async def test_a_key_that_was_written_without_the_key_encryption_key_is_never_used(
    fresh_store: Store, fresh_tarantool: PrivateTarantool, state: KeyState
) -> None:
    attacker = SigningKey.generate("ES256")
    await put(fresh_tarantool, key_row(attacker, Sealer({"tests": bytes(32)}), state))

    with pytest.raises(SealError):
        await open_ring(fresh_store)


async def test_a_sealed_key_does_not_open_in_another_row(
    fresh_store: Store, fresh_tarantool: PrivateTarantool
) -> None:
    row = key_row(SigningKey.generate("ES256"))
    await put(fresh_tarantool, msgspec.structs.replace(row, kid="another"))

    with pytest.raises(SealError, match=r"another\|ES256\|public"):
        await open_ring(fresh_store)


async def test_the_published_key_is_the_sealed_one(
    fresh_store: Store, fresh_tarantool: PrivateTarantool
) -> None:
    ours, attacker = SigningKey.generate("ES256"), SigningKey.generate("ES256")
    row = msgspec.structs.replace(key_row(ours), public_jwk=dict(attacker.public_jwk))
    await put(fresh_tarantool, row)

    ring = await open_ring(fresh_store)

    assert dict(ours.public_jwk) in ring.jwks()["keys"]
    assert attacker.public_jwk["x"] not in [jwk.get("x") for jwk in ring.jwks()["keys"]]


async def test_a_ring_keeps_what_it_had_when_a_reload_fails(
    fresh_tarantool: PrivateTarantool,
) -> None:
    impatient = await Store.connect(fresh_tarantool.socket_path, fresh_tarantool.password, 0.3)
    ring = await open_ring(impatient)
    before = Everything.of(ring)

    await impatient.server_secret_add(ServerSecretRow("csrf", 2, "sealed", NOW), by=By(), now=NOW)
    await ring.reload(NOW + 60)
    assert [type(fault) for fault in ring.faults] == [SealError]
    fresh_tarantool.stop()
    with pytest.raises(StoreError):
        await ring.reload(NOW + 120)
    await impatient.close()

    assert Everything.of(ring) == before
    token = await ring.sign(CLAIMS, alg="ES256", typ="at+jwt")
    assert ring.verify(token, typ="at+jwt", algs=("ES256",)) == CLAIMS


async def test_server_secrets_are_long_and_differ(fresh_store: Store) -> None:
    ring = await open_ring(fresh_store)

    values = {ring.secret(name) for name in NAMES}

    assert len(values) == len(NAMES)
    assert {len(value) for value in values} == {32}
    with pytest.raises(KeyError):
        ring.secret("unknown")


async def test_a_new_version_of_a_secret_is_known_at_once_and_used_when_all_know_it(
    fresh_store: Store,
) -> None:
    ring = await open_ring(fresh_store)
    first, second = ring.secret("csrf"), secrets.token_bytes(32)
    row = ServerSecretRow("csrf", 2, SEALER.seal(second, label="csrf|2"), NOW)
    await fresh_store.server_secret_add(row, by=By(), now=NOW)

    await ring.reload(NOW)
    assert list(ring.secrets("csrf").items()) == [(1, first), (2, second)]
    assert ring.secret("csrf") == first

    await ring.tend(NOW + 9)
    assert ring.secret("csrf") == first
    await ring.tend(NOW + 10)
    assert list(ring.secrets("csrf").items()) == [(2, second), (1, first)]

    await ring.tend(NOW + DAY)
    assert list(ring.secrets("csrf")) == [2]
    assert [row.version for row in await fresh_store.server_secrets() if row.name == "csrf"] == [2]


async def test_nothing_secret_reaches_the_store(fresh_store: Store) -> None:
    ring = await KeyRing.open(life_cycle(fresh_store, algorithms=("ES256", "RS256")), NOW)
    held = [*ring._contents.signing.values(), *ring._contents.decryption.values()]
    private_parts = [
        part
        for key in held
        if isinstance(key, SigningKey | DecryptionKey)
        for name, part in json.loads(key.private_jwk()).items()
        if name in {"d", "p", "q", "dp", "dq", "qi"}
    ]
    server_secrets = [ring.secret(name) for name in NAMES]
    spellings = [
        *(part.encode() for part in private_parts),
        *(b64url_decode(part) for part in private_parts),
        *(b64url(value).encode() for value in server_secrets),
        *server_secrets,
    ]

    written = msgspec.msgpack.encode(
        [await fresh_store.signing_keys(), await fresh_store.server_secrets()]
    )

    # Two keys of each: d of P-256, twice; d, p, q and the three of the CRT of an RSA key.
    assert len(private_parts) == 2 * (1 + 1 + 6)
    assert not [spelling for spelling in spellings if spelling in written]


async def test_a_ring_shows_only_the_ids_of_its_keys(fresh_store: Store) -> None:
    ring = await open_ring(fresh_store)
    kids = sorted(jwk["kid"] for jwk in ring.jwks()["keys"] if jwk["use"] == "sig")

    assert repr(ring) == f"KeyRing(kids={kids!r})"
    assert "<" in repr(ring._contents)


async def test_tending_costs_no_call_when_nothing_is_due(fresh_store: Store) -> None:
    calls: list[str] = []
    ring = await open_ring(fresh_store)
    counted = Counted(fresh_store, calls)
    ring._life_cycle = LifeCycle(counted, SEALER, SETTINGS, LIFETIME)

    await ring.tend(NOW + 25 * DAY)
    assert calls == []
    await ring.tend(NOW + 2 * PERIOD)
    assert calls


class Counted(Store):
    """The same store, with its calls written down."""

    def __init__(self, store: Store, calls: list[str]) -> None:
        super().__init__(store._connection)
        self._calls = calls

    async def _call(self, procedure: str, answer: object, **arguments: object) -> object:
        self._calls.append(procedure)
        return await super()._call(procedure, answer, **arguments)
