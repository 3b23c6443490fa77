"""Applying the channels file to the store."""

from collections.abc import Collection, Sequence

import msgspec

from conf.channels_file import ChannelEntry, ClientEntry
from flows.client_metadata import ClientMetadata, InvalidClientMetadata, validate
from flows.clients import Channel, ClientDocument, ClientSecret
from flows.passwords import PasswordHasher
from keys.hashing import sha256
from storage.outcomes import ChannelsChange
from storage.records import ChannelRow, ClientRow
from storage.store import Store


class ChannelsFault(Exception):
    """Channels that cannot be applied; `faults` names each by client and member."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


def check(
    entries: Sequence[ChannelEntry], *, algorithms: Collection[str], development: bool
) -> dict[str, ClientMetadata]:
    """Every client's validated metadata, by client_id. Raises ChannelsFault with all faults.

    `algorithms` are those that we sign with.
    """
    faults: list[str] = []
    checked = {}
    for client in (client for entry in entries for client in entry.clients):
        try:
            metadata = validate(client.metadata, algorithms=algorithms, development=development)
        except InvalidClientMetadata as error:
            faults += [f"{client.client_id}: {description}" for _, description in error.faults]
            continue
        public = metadata.token_endpoint_auth_method == "none"
        has_secret = client.secret is not None or client.secret_argon2id is not None
        if public == has_secret:
            faults.append(
                f"{client.client_id}: secret: "
                + ("a public client has none" if public else "is required")
            )
        checked[client.client_id] = metadata
    if faults:
        raise ChannelsFault(faults)
    return checked


async def apply(
    store: Store,
    entries: Sequence[ChannelEntry],
    *,
    algorithms: Collection[str],
    development: bool,
    by: str,
    now: int,
) -> ChannelsChange:
    """Make the store's channels those of `entries`.

    In development secrets are kept by SHA-256: `ensure_secret_files` makes them, of random bits.
    Raises ChannelsFault; then nothing has changed.
    """
    checked = check(entries, algorithms=algorithms, development=development)
    hashes = _Hashes(await store.clients_list(), generated=development)
    clients = [
        ClientRow(
            client.client_id,
            entry.channel_id,
            _json(ClientDocument(checked[client.client_id], await hashes.of(client))),
        )
        for entry in entries
        for client in entry.clients
    ]
    channels = [ChannelRow(entry.channel_id, _json(_channel(entry))) for entry in entries]
    return await store.channels_apply(channels, clients, by=by, now=now)


class _Hashes:
    """The hashes of clients' secrets; one that has not changed keeps the hash that it has."""

    def __init__(self, known: Sequence[ClientRow], *, generated: bool) -> None:
        self._hasher = PasswordHasher()
        self._generated = generated
        self._known = {
            row.client_id: msgspec.json.decode(row.document, type=ClientDocument).secrets
            for row in known
        }

    async def of(self, client: ClientEntry) -> tuple[ClientSecret, ...]:
        """The hashes to keep for a client, if it has a secret."""
        if client.secret_argon2id is not None:
            return (ClientSecret(argon2id=client.secret_argon2id),)
        if client.secret is None:
            return ()
        if self._generated:
            return (ClientSecret(sha256=sha256(client.secret)),)
        # A fresh argon2id hash has a fresh salt: applying twice would look like a change.
        for known in self._known.get(client.client_id, ()):
            if known.argon2id is not None and await self._hasher.verify(
                known.argon2id, client.secret
            ):
                return (known,)
        return (ClientSecret(argon2id=await self._hasher.hash(client.secret)),)


def _channel(entry: ChannelEntry) -> Channel:
    return Channel(
        channel_id=entry.channel_id,
        name={str(locale): name for locale, name in entry.brand.name.items()},
        locale=entry.locale,
        color=entry.brand.color,
        logo=entry.brand.logo,
        terms_uri=entry.brand.terms_uri,
        privacy_uri=entry.brand.privacy_uri,
    )


def _json(document: msgspec.Struct) -> str:
    return msgspec.json.encode(document).decode()
