"""The JWK Sets that clients publish by `jwks_uri`: fetched when needed, and kept for a while."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import msgspec

from flows.client_metadata import PROTECTED_RESPONSES, ClientMetadata, InvalidClientMetadata
from flows.ports import Clock, Fetcher, FetchError, FetchFailure, Log
from keys.encryption import RecipientKeys
from keys.errors import NoEncryptionKey, UnusableKey

MEDIA_TYPES = ("application/jwk-set+json", "application/json")  # RFC 7517 8.5

_FRESH_SECONDS = 300
_LEAST_FRESH_SECONDS = 60
# Also how long a set may be used whose successor cannot be fetched. So a short failure of the other
# side hurts nobody; and whoever stole a key cannot prolong its life beyond what a max-age of the
# owner's might have, by keeping us from seeing that it was taken out.
_MOST_SECONDS = 3_600
# Anybody may present a `kid` that nobody knows, and must not make us hammer somebody with it.
_RETRY_SECONDS = 30
_MOST_URIS = 1_000
_MOST_KEYS = 50  # each takes a part of a millisecond to read, while other requests wait
# What a JWK is read for; certificates (x5c) would take most of the memory.
_TEXTS = ("kty", "crv", "x", "y", "n", "e", "kid", "use", "alg")


class _JwkSet(msgspec.Struct):
    keys: list[dict[str, Any]]


_JWK_SET = msgspec.json.Decoder(_JwkSet)


class RemoteJwks:
    """A JWK Set that was fetched.

    `jwks` has the sound public keys of it, with texts where texts belong: RFC 7517 5 ignores the
    others, of which their owner would not learn from us. `recipient_keys` are the same, prepared to
    encrypt to.
    """

    __slots__ = ("jwks", "kids", "recipient_keys")

    def __init__(self, document: bytes) -> None:
        """Raises `UnusableKey` if `document` is no JWK Set."""
        try:
            members = _JWK_SET.decode(document).keys[:_MOST_KEYS]
            self.jwks: dict[str, Any] = {"keys": [_trimmed(it) for it in members if _sound(it)]}
        except (ValueError, RecursionError):
            raise UnusableKey("it is not a JWK Set") from None
        self.kids: frozenset[str] = frozenset(it["kid"] for it in self.jwks["keys"] if "kid" in it)
        self.recipient_keys = RecipientKeys(self.jwks)


def _sound(member: dict[str, Any]) -> bool:
    operations = member.get("key_ops", [])
    if not isinstance(operations, list):
        return False
    if not all(isinstance(it, str) for it in (*operations, *(member.get(n, "") for n in _TEXTS))):
        return False
    try:
        # With all its members: a key whose private part is published is nobody's any more.
        RecipientKeys({"keys": [member]})
    except UnusableKey:
        return False
    return True


def _trimmed(member: dict[str, Any]) -> dict[str, Any]:
    return {name: member[name] for name in (*_TEXTS, "key_ops") if name in member}


@dataclass(slots=True)
class _Entry:
    kept: RemoteJwks | None = None
    fetched_at: int = 0
    fresh_until: int = 0
    tried_at: int | None = None
    failure: FetchFailure = "it cannot be connected to"
    fetching: asyncio.Task[None] | None = field(default=None, repr=False)

    def good(self, now: int, kid: str | None) -> bool:
        if self.kept is None or now >= self.fresh_until:
            return False
        return kid is None or kid in self.kept.kids


class RemoteKeys:
    """The JWK Sets of clients, by their `jwks_uri`; of one process, and for all its requests."""

    def __init__(self, fetcher: Fetcher, clock: Clock, log: Log) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._log = log
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    async def keys(self, jwks_uri: str, *, kid: str | None = None) -> RemoteJwks:
        """The JWK Set at `jwks_uri`, fetched if there is none, it is old, or `kid` is not in it.

        `kid` may still not be in it (OpenID Connect Core 10.1.1). A fetch is tried once in 30
        seconds; in between, and if it fails, a set of the last hour serves. Raises FetchError if
        there is none.
        """
        entry = self._entries.setdefault(jwks_uri, _Entry())
        self._entries.move_to_end(jwks_uri)
        if len(self._entries) > _MOST_URIS:
            self._entries.popitem(last=False)
        now = self._clock()
        if not entry.good(now, kid):
            await self._refetch(jwks_uri, entry, now)
        if entry.kept is None or self._clock() >= entry.fetched_at + _MOST_SECONDS:
            raise FetchError(entry.failure)
        return entry.kept

    async def _refetch(self, jwks_uri: str, entry: _Entry, now: int) -> None:
        if entry.fetching is None:
            if entry.tried_at is not None and now < entry.tried_at + _RETRY_SECONDS:
                return
            entry.tried_at = now
            entry.fetching = asyncio.create_task(self._fetch(jwks_uri, entry))
        # Who else needs it waits for the same fetch, which goes on if one of them gives up.
        await asyncio.shield(entry.fetching)

    async def _fetch(self, jwks_uri: str, entry: _Entry) -> None:
        try:
            fetched = await self._fetcher.fetch(jwks_uri, media_types=MEDIA_TYPES)
            entry.kept = RemoteJwks(fetched.body)
        except FetchError as error:
            entry.failure = error.reason
        except UnusableKey:
            entry.failure = "its content is no JWK Set"
        else:
            fresh = _FRESH_SECONDS if fetched.max_age is None else fetched.max_age
            entry.fetched_at = self._clock()
            entry.fresh_until = entry.fetched_at + min(
                max(fresh, _LEAST_FRESH_SECONDS), _MOST_SECONDS
            )
            return
        finally:
            entry.fetching = None
        self._log.warning("jwks_uri_failed", jwks_uri=jwks_uri, reason=entry.failure)


async def check_jwks_uri(fetcher: Fetcher, metadata: ClientMetadata) -> None:
    """Prove that `jwks_uri` has what the client will need, while it can still be told.

    Raises InvalidClientMetadata.
    """
    if metadata.jwks_uri is None:
        return
    try:
        # Not what may be kept: the set may have been mended since.
        fetched = await fetcher.fetch(metadata.jwks_uri, media_types=MEDIA_TYPES)
        remote = RemoteJwks(fetched.body)
    except FetchError:
        raise _invalid("jwks_uri: cannot be fetched") from None
    except UnusableKey:
        raise _invalid("jwks_uri: does not hold a JWK Set") from None
    if not remote.jwks["keys"]:
        raise _invalid("jwks_uri: holds no sound public key")
    for response in PROTECTED_RESPONSES:
        _, alg, enc = metadata.protection(response)
        try:
            if alg is not None and enc is not None:
                remote.recipient_keys.encrypt(b"", alg=alg, enc=enc)
        except NoEncryptionKey as error:
            raise _invalid(f"{response}_encrypted_response_alg: of jwks_uri, {error}") from None


def _invalid(fault: str) -> InvalidClientMetadata:
    return InvalidClientMetadata([("invalid_client_metadata", fault)])
