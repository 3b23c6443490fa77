"""The JWK Sets of clients: when they are fetched, and for how long they serve."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from flows import remote_jwks
from flows.ports import FetchError
from flows.remote_jwks import RemoteKeys
from idp.outbound.fetcher import GuardedFetcher
from keys.errors import NoEncryptionKey
from tests.idp.stranger import Stranger, said, stranger

P256, RSA = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
RSA_1024 = {"kty": "RSA", "e": "AQAB", "n": "_" * 170 + "8"}
MINUTE, HOUR = 60, 3_600


def public(kid: str | None = "a", key: Any = P256, **members: Any) -> dict[str, Any]:
    named = {} if kid is None else {"kid": kid}
    return {**key.as_dict(private=False), "use": "sig", **named, **members}


class Log:
    def __init__(self) -> None:
        self.warnings: list[dict[str, object]] = []

    def info(self, event: str, **fields: object) -> None:
        raise AssertionError(event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self.warnings.append({"event": event, **fields})


class World:
    """One owner of keys, who publishes them on a server, and who looks at the clock."""

    def __init__(self, fetcher: GuardedFetcher) -> None:
        self.now = 1_800_000_000
        self.log = Log()
        self.remote = RemoteKeys(fetcher, lambda: self.now, self.log)
        self.server = Stranger()
        self.answer = b""
        self.asked, self.held = asyncio.Event(), asyncio.Event()
        self.held.set()

    def publish(self, *keys: Any, headers: tuple[str, ...] = (), status: str = "200 OK") -> None:
        self.answer = said(json.dumps({"keys": keys}).encode(), *headers, status=status)

    def uri(self, path: str = "/jwks") -> str:
        return f"http://localhost:{self.server.port}{path}"

    async def kids(self, kid: str | None = None, path: str = "/jwks") -> set[str]:
        found = await self.remote.keys(self.uri(path), kid=kid)
        assert {it.get("kid") for it in found.jwks["keys"]} - {None} == found.kids
        return set(found.kids)

    @property
    def fetches(self) -> int:
        return len(self.server.requests)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    fetcher = GuardedFetcher(development=True)
    made = World(fetcher)

    async def answer(writer: asyncio.StreamWriter) -> None:
        made.asked.set()
        await made.held.wait()
        writer.write(made.answer)

    async with stranger(answer) as made.server:
        made.publish(public("a"))
        yield made
    fetcher.close()


async def test_a_set_is_fetched_once_and_kept_for_five_minutes(world: World) -> None:
    assert await world.kids() == {"a"}
    world.publish(public("b"))
    world.now += 5 * MINUTE - 1
    assert await world.kids() == {"a"}
    assert await world.kids("a") == {"a"}
    assert world.fetches == 1
    world.now += 1
    assert await world.kids() == {"b"}
    assert world.fetches == 2


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("max-age=600", 600),
        ("max-age=1", MINUTE),
        ("no-store", MINUTE),
        ("max-age=86400", HOUR),
        ("public", 5 * MINUTE),
    ],
)
async def test_its_owner_says_how_long_within_limits(
    world: World, cache_control: str, seconds: int
) -> None:
    world.publish(public("a"), headers=(f"Cache-Control: {cache_control}",))
    await world.kids()
    world.now += seconds - 1
    await world.kids()
    assert world.fetches == 1
    world.now += 1
    await world.kids()
    assert world.fetches == 2


async def test_an_unknown_kid_is_looked_for_at_once(world: World) -> None:
    await world.kids("a")
    world.publish(public("a"), public("b"))
    world.now += 30
    assert await world.kids("b") == {"a", "b"}
    assert await world.kids("b") == {"a", "b"}
    assert world.fetches == 2


async def test_unknown_kids_do_not_make_us_hammer_anybody(world: World) -> None:
    for second in range(90):
        assert await world.kids(f"unknown-{second}") == {"a"}
        world.now += 1
    assert world.fetches == 3


async def test_all_who_wait_share_one_fetch(world: World) -> None:
    world.held.clear()
    waiting = [asyncio.create_task(world.kids("a")) for _ in range(50)]
    await world.asked.wait()
    late = asyncio.create_task(world.kids("b"))
    # One who gives up does not take it away from the others.
    await asyncio.sleep(0)
    waiting[0].cancel()
    world.held.set()

    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert await asyncio.gather(*waiting[1:], late) == [{"a"}] * 50
    assert world.fetches == 1


async def test_another_uri_is_another_set(world: World) -> None:
    await world.kids()
    world.publish(public("b"))
    assert await world.kids(path="/other") == {"b"}
    assert await world.kids() == {"a"}


async def test_a_set_outlives_its_server_for_an_hour(world: World) -> None:
    await world.kids()
    fetched_at = world.now
    world.publish(public("a"), status="503 Down")
    while world.now < fetched_at + HOUR - 60:
        world.now += 60
        assert await world.kids() == {"a"}
    assert world.log.warnings[0] == {
        "event": "jwks_uri_failed",
        "jwks_uri": world.uri(),
        "reason": "its status is not 200",
    }
    world.now = fetched_at + HOUR
    with pytest.raises(FetchError, match="its status is not 200"):
        await world.kids()

    world.publish(public("b"))
    world.now += 30
    assert await world.kids() == {"b"}


async def test_a_key_that_was_taken_out_is_gone(world: World) -> None:
    await world.kids()
    world.publish()
    world.now += 5 * MINUTE
    assert await world.kids() == set()


async def test_a_server_that_is_down_is_not_asked_at_every_request(world: World) -> None:
    world.publish(status="500 Down")
    for _ in range(60):
        with pytest.raises(FetchError, match="its status is not 200"):
            await world.kids("a")
        world.now += 1
    assert world.fetches == 2
    assert len(world.log.warnings) == 2


async def test_an_unknown_kid_of_a_server_that_is_down_leaves_the_set(world: World) -> None:
    await world.kids()
    world.publish(status="500 Down")
    world.now += 30
    assert await world.kids("b") == {"a"}
    assert await world.kids("a") == {"a"}
    assert world.fetches == 2


async def test_only_so_many_sets_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_jwks, "_MOST_URIS", 2)
    for path in ("/1", "/2", "/1", "/3"):
        await world.kids(path=path)
    assert world.fetches == 3
    await world.kids(path="/1")
    assert world.fetches == 3
    await world.kids(path="/2")
    assert world.fetches == 4


# What is in a set


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"keys":{}}',
        b'{"keys":[1]}',
        b'{"keys":null}',
        b"\xff",
        b"[" * 60_000,
        b'{"keys":[],"a":' + b"[" * 60_000,
        b'{"keys":[{"kty":"EC","x":' + b'{"a":' * 10_000,
    ],
    ids=lambda body: str(body[:20]),
)
async def test_what_is_no_jwk_set_is_refused(world: World, body: bytes) -> None:
    world.answer = said(body)
    with pytest.raises(FetchError, match="its content is no JWK Set"):
        await world.kids()


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "b"},
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "b"},
        public("b", crv="P-257"),
        public("b", x=1),
        public("b", y=[]),
        public("b", use=["sig"]),
        public("b", alg={}),
        public("b", key_ops="verify"),
        public("b", key_ops=[[]]),
        public("b") | {"kid": 1},
        public("b" * 201),
        RSA_1024 | {"kid": "b"},
        {**P256.as_dict(private=True), "kid": "b"},
        {**OctKey.generate_key(256).as_dict(), "kid": "b"},
    ],
)
async def test_a_key_that_is_unsound_or_private_is_left_out(world: World, other: Any) -> None:
    world.publish(other, public("a"))
    assert await world.kids() == {"a"}


async def test_a_key_keeps_only_what_it_is_read_for(world: World) -> None:
    world.publish(public("a", x5c=["A" * 10_000], x5t="t", note={"a": 1}, key_ops=["verify"]))
    found = await world.remote.keys(world.uri())
    assert found.jwks == {"keys": [public("a", key_ops=["verify"])]}


async def test_what_a_set_holds_can_be_encrypted_to(world: World) -> None:
    world.publish(public("a"), public("e", RSA, use="enc"))
    keys = (await world.remote.keys(world.uri())).recipient_keys
    assert keys.encrypt(b"{}", alg="RSA-OAEP-256", enc="A256GCM").count(".") == 4
    with pytest.raises(NoEncryptionKey):
        keys.encrypt(b"{}", alg="ECDH-ES", enc="A256GCM")


async def test_a_long_set_is_read_in_its_beginning(world: World) -> None:
    key = OKPKey.generate_key("Ed25519")
    world.publish(*(public(str(number), key) for number in range(200)))
    assert await world.kids() == {str(number) for number in range(50)}
