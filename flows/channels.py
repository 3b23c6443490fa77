"""Applying the channels file to the store."""

from collections.abc import Mapping, Sequence

import msgspec

from conf.channels_file import ChannelEntry, ClientEntry
from flows.client_metadata import ClientMetadata, InvalidClientMetadata, validate
from flows.clients import Channel, ClientDocument
from flows.passwords import PasswordHasher
from storage.outcomes import ChannelsChange
from storage.records import ChannelRow, ClientRow
from storage.store import Store


class ChannelsFault(Exception):
    """Channels that cannot be applied; `faults` names each by client and member."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


def check(entries: Sequence[ChannelEntry], *, development: bool) -> dict[str, ClientMetadata]:
    """Every client's validated metadata, by client_id. Raises ChannelsFault with all faults."""
    faults: list[str] = []
    checked = {}
    for client in (client for entry in entries for client in entry.clients):
        try:
            metadata = validate(client.metadata, development=development)
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
    development: bool,
    by: str,
    now: int,
) -> ChannelsChange:
    """Make the store's channels those of `entries`.

    Raises ChannelsFault; then nothing has changed.
    """
    checked = check(entries, development=development)
    hasher = PasswordHasher()
    known = {
        row.client_id: msgspec.json.decode(row.document, type=ClientDocument).secret_argon2id
        for row in await store.clients_list()
    }
    clients = [
        ClientRow(
            client.client_id,
            entry.channel_id,
            _json(
                ClientDocument(checked[client.client_id], await _secret_hash(hasher, client, known))
            ),
        )
        for entry in entries
        for client in entry.clients
    ]
    channels = [ChannelRow(entry.channel_id, _json(_channel(entry))) for entry in entries]
    return await store.channels_apply(channels, clients, by=by, now=now)


async def _secret_hash(
    hasher: PasswordHasher, client: ClientEntry, known: Mapping[str, str | None]
) -> str | None:
    if client.secret is None:
        return client.secret_argon2id
    # A fresh hash has a fresh salt: an unchanged secret keeps its hash, so that nothing changes.
    before = known.get(client.client_id)
    if before is not None and await hasher.verify(before, client.secret):
        return before
    return await hasher.hash(client.secret)


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
