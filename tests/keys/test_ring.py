import asyncio
import json
import secrets
from dataclasses import dataclass

import asynctnt
import msgspec
import pytest

from keys.errors import InvalidToken, SealError
from keys.hashing import b64url, b64url_decode
from keys.ring import SERVER_SECRETS, KeyRing
from keys.sealing import Sealer
from keys.signing import ALGORITHMS, SigningKey
from storage.child import PrivateTarantool
from storage.errors import StoreError
from storage.records import ServerSecretRow, SigningKeyRow
from storage.store import Store

NOW = 1_700_000_000
CLAIMS = {"iss": "https://id.example", "sub": "customer", "exp": NOW + 300, "имя": "Анна"}
SEALER = Sealer(secrets.token_bytes(32))


@dataclass(frozen=True, slots=True)
class Everything:
    """What two rings must have in common to serve the same provider."""

    kids: tuple[object, ...]
    secrets: tuple[bytes, ...]

    @classmethod
    def of(cls, ring: KeyRing) -> "Everything":
        return cls(
            tuple(jwk["kid"] for jwk in ring.jwks()["keys"]),
            tuple(ring.secret(name) for name in SERVER_SECRETS),
        )


def key_row(
    key: SigningKey, sealer: Sealer = SEALER, *, state: str = "retired", created_at: int = NOW - 1
) -> SigningKeyRow:
    return SigningKeyRow(
        kid=key.kid,
        alg=key.alg,
        state=state,
        public_jwk=dict(key.public_jwk),
        sealed_private=sealer.seal(key.private_jwk(), label=f"{key.kid}|{key.alg}"),
        created_at=created_at,
    )


async def as_owner(tarantool: PrivateTarantool, lua: str, *arguments: str) -> None:
    """Do what only an operator may."""
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


async def test_a_first_ring_has_an_active_key_of_every_algorithm(fresh_store: Store) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)

    assert ring.algorithms() == ("ES256", "RS256")
    for alg in ring.algorithms():
        token = ring.sign(CLAIMS, alg=alg, typ="at+jwt")
        assert ring.verify(token, typ="at+jwt", algs=(alg,)) == CLAIMS


async def test_a_token_for_another_use_is_refused(fresh_store: Store) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)
    id_token = ring.sign(CLAIMS, alg="ES256", typ="JWT")

    with pytest.raises(InvalidToken, match="typ is not the expected one"):
        ring.verify(id_token, typ="at+jwt", algs=ALGORITHMS)


async def test_a_token_of_another_provider_is_refused(fresh_store: Store) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)
    stranger = SigningKey.generate("ES256").sign(b"{}", typ="at+jwt")

    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify(stranger, typ="at+jwt", algs=ALGORITHMS)


async def test_an_unknown_algorithm_does_not_sign(fresh_store: Store) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)

    for alg in ("none", "HS256", "ES384"):
        with pytest.raises(KeyError):
            ring.sign(CLAIMS, alg=alg, typ="JWT")


async def test_the_jwk_set_is_public(fresh_store: Store) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)

    keys = ring.jwks()["keys"]

    assert sorted(str(key["alg"]) for key in keys) == ["ES256", "RS256"]
    for key in keys:
        assert key["use"] == "sig"
        assert not key.keys() & {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


async def test_a_caller_cannot_change_the_jwk_set(fresh_store: Store) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)
    before = ring.jwks()

    ring.jwks()["keys"][0].clear()

    assert ring.jwks() == before


async def test_server_secrets_are_long_and_differ(fresh_store: Store) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)

    values = {ring.secret(name) for name in ("otp", "refresh", "interaction", "csrf")}

    assert len(values) == 4
    assert {len(value) for value in values} == {32}
    with pytest.raises(KeyError):
        ring.secret("unknown")


async def test_the_newest_version_of_a_server_secret_counts(fresh_store: Store) -> None:
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    for version, value in ((10, new), (9, old)):
        row = ServerSecretRow("csrf", version, SEALER.seal(value, label=f"csrf|{version}"), NOW)
        await fresh_store.server_secret_add(row, NOW)

    ring = await KeyRing.open(fresh_store, SEALER, NOW)

    assert ring.secret("csrf") == new


async def test_a_restarted_server_has_the_same_keys_and_secrets(fresh_store: Store) -> None:
    first = await KeyRing.open(fresh_store, SEALER, NOW)
    token = first.sign(CLAIMS, alg="RS256", typ="JWT")

    second = await KeyRing.open(fresh_store, SEALER, NOW + 3600)

    assert Everything.of(second) == Everything.of(first)
    assert second.verify(token, typ="JWT", algs=("RS256",)) == CLAIMS


async def test_workers_that_start_together_share_keys_and_secrets(fresh_store: Store) -> None:
    rings = await asyncio.gather(*(KeyRing.open(fresh_store, SEALER, NOW) for _ in range(8)))

    assert len({Everything.of(ring) for ring in rings}) == 1
    assert len(await fresh_store.signing_keys()) == len(ALGORITHMS)
    assert len(await fresh_store.server_secrets()) == len(SERVER_SECRETS)


async def test_a_retired_key_verifies_and_another_signs(
    fresh_store: Store, fresh_tarantool: PrivateTarantool
) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)
    other_worker = await KeyRing.open(fresh_store, SEALER, NOW)
    old_token = ring.sign(CLAIMS, alg="ES256", typ="at+jwt")
    [old_kid] = [jwk["kid"] for jwk in ring.jwks()["keys"] if jwk["alg"] == "ES256"]
    retire = "box.space.signing_key:update(..., {{'=', 'state', 'retired'}})"
    await as_owner(fresh_tarantool, retire, str(old_kid))

    await ring.reload(NOW + 60)
    new_token = ring.sign(CLAIMS, alg="ES256", typ="at+jwt")

    with pytest.raises(InvalidToken, match="kid is unknown"):
        other_worker.verify(new_token, typ="at+jwt", algs=("ES256",))
    await other_worker.reload(NOW + 60)
    for worker in (ring, other_worker):
        assert len(worker.jwks()["keys"]) == 3
        for token in (old_token, new_token):
            assert worker.verify(token, typ="at+jwt", algs=("ES256",)) == CLAIMS


async def test_a_removed_key_no_longer_verifies(
    fresh_store: Store, fresh_tarantool: PrivateTarantool
) -> None:
    leaked = SigningKey.generate("ES256")
    await fresh_store.signing_key_add(key_row(leaked), NOW)
    ring = await KeyRing.open(fresh_store, SEALER, NOW)
    token = leaked.sign(b"{}", typ="at+jwt")
    assert ring.verify(token, typ="at+jwt", algs=("ES256",)) == {}
    await as_owner(fresh_tarantool, "box.space.signing_key:delete(...)", leaked.kid)

    await ring.reload(NOW + 60)

    assert leaked.kid not in Everything.of(ring).kids
    with pytest.raises(InvalidToken, match="kid is unknown"):
        ring.verify(token, typ="at+jwt", algs=("ES256",))


async def test_a_key_of_an_algorithm_of_a_newer_version_is_left_alone(fresh_store: Store) -> None:
    row = SigningKeyRow("kid-of-ps256", "PS256", "active", {"kty": "RSA"}, "sealed", NOW)
    await fresh_store.signing_key_add(row, NOW)

    ring = await KeyRing.open(fresh_store, SEALER, NOW)

    assert "kid-of-ps256" not in Everything.of(ring).kids
    assert len(await fresh_store.signing_keys()) == 3


async def test_a_wrong_key_encryption_key_is_named(fresh_store: Store) -> None:
    await KeyRing.open(fresh_store, SEALER, NOW)
    wrong = Sealer(bytes(32))

    with pytest.raises(SealError, match=f"'{SEALER.key_id}', but .* is '{wrong.key_id}'"):
        await KeyRing.open(fresh_store, wrong, NOW)


async def test_a_key_that_was_written_without_the_key_encryption_key_is_never_used(
    fresh_store: Store,
) -> None:
    attacker = SigningKey.generate("ES256")
    await fresh_store.signing_key_add(key_row(attacker, Sealer(bytes(32)), state="active"), NOW)

    with pytest.raises(SealError):
        await KeyRing.open(fresh_store, SEALER, NOW)


async def test_a_sealed_key_does_not_open_in_another_row(fresh_store: Store) -> None:
    row = key_row(SigningKey.generate("ES256"))
    await fresh_store.signing_key_add(msgspec.structs.replace(row, kid="another"), NOW)

    with pytest.raises(SealError, match=r"another\|ES256 cannot be opened"):
        await KeyRing.open(fresh_store, SEALER, NOW)


async def test_the_published_key_is_that_of_the_private_key(fresh_store: Store) -> None:
    ours, attacker = SigningKey.generate("ES256"), SigningKey.generate("ES256")
    row = msgspec.structs.replace(key_row(ours), public_jwk=dict(attacker.public_jwk))
    await fresh_store.signing_key_add(row, NOW)

    ring = await KeyRing.open(fresh_store, SEALER, NOW)

    assert dict(ours.public_jwk) in ring.jwks()["keys"]
    assert attacker.public_jwk["x"] not in [jwk.get("x") for jwk in ring.jwks()["keys"]]


async def test_a_ring_keeps_what_it_had_when_a_reload_fails(
    fresh_tarantool: PrivateTarantool,
) -> None:
    password = (fresh_tarantool.directory / "password").read_text().strip()
    impatient_store = await Store.connect(fresh_tarantool.socket_path, password, 0.3)
    ring = await KeyRing.open(impatient_store, SEALER, NOW)
    before = Everything.of(ring)

    await impatient_store.server_secret_add(ServerSecretRow("csrf", 2, "sealed", NOW), NOW)
    with pytest.raises(SealError):
        await ring.reload(NOW + 60)
    fresh_tarantool.stop()
    with pytest.raises(StoreError):
        await ring.reload(NOW + 120)
    await impatient_store.close()

    assert Everything.of(ring) == before
    token = ring.sign(CLAIMS, alg="ES256", typ="at+jwt")
    assert ring.verify(token, typ="at+jwt", algs=("ES256",)) == CLAIMS


async def test_nothing_secret_reaches_the_store(fresh_store: Store) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)
    private_parts = [
        part
        for key in ring._contents.keys.values()
        for name, part in json.loads(key.private_jwk()).items()
        if name in {"d", "p", "q", "dp", "dq", "qi"}
    ]
    server_secrets = [ring.secret(name) for name in SERVER_SECRETS]
    spellings = [
        *(part.encode() for part in private_parts),
        *(b64url_decode(part) for part in private_parts),
        *(b64url(value).encode() for value in server_secrets),
        *server_secrets,
    ]

    written = msgspec.msgpack.encode(
        [await fresh_store.signing_keys(), await fresh_store.server_secrets()]
    )

    # One d of the EC key; d, p, q and the three of the CRT of the RSA key.
    assert len(private_parts) == 7
    assert not [spelling for spelling in spellings if spelling in written]


async def test_a_ring_shows_only_the_ids_of_its_keys(fresh_store: Store) -> None:
    ring = await KeyRing.open(fresh_store, SEALER, NOW)

    assert repr(ring) == f"KeyRing(kids={sorted(Everything.of(ring).kids, key=str)!r})"
    assert "<" in repr(ring._contents)
