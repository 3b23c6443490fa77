"""Who a customer is to a client: `public` or `pairwise` subjects (OpenID Connect Core 8)."""

from typing import Literal

import msgspec

from flows.client_metadata import ClientMetadata, InvalidClientMetadata
from flows.clients import Client
from flows.ports import Fetcher, FetchError
from flows.provider import Provider
from keys.pseudonyms import disguised, undisguised

Identifier = Literal["sub", "sid"]
"""A session's `sid` is disguised too: by one that is the same, two partners find their customer."""

_SECRET = "pairwise"
_MEDIA_TYPES = ("application/json",)
_REDIRECT_URIS = msgspec.json.Decoder(list[str])


def to_client(provider: Provider, client: Client, kind: Identifier, identifier: str) -> str:
    """The identifier of ours under which this client knows a customer, or a customer's session.

    It depends on nothing else than the sector, so that it outlives the client's registration.
    """
    if client.metadata.subject_type == "public":
        return identifier
    return disguised(provider.keys.secret(_SECRET), identifier, kind, *client.sector)


def from_client(provider: Provider, client: Client, kind: Identifier, known_as: str) -> str | None:
    """Our own identifier for what `to_client` gave to this client or another one of its sector.

    None where it is no identifier of theirs; that a public one is somebody's, the store says.
    """
    if client.metadata.subject_type == "public":
        return known_as
    return undisguised(provider.keys.secret(_SECRET), known_as, kind, *client.sector)


async def check_sector(fetcher: Fetcher, metadata: ClientMetadata) -> None:
    """Prove that the owner of `sector_identifier_uri` knows of the client's redirect URIs.

    Otherwise anybody could join a sector, and learn who its customers are (OpenID Connect
    Registration 5). Raises InvalidClientMetadata.
    """
    uri = metadata.sector_identifier_uri
    if uri is None:
        return
    try:
        fetched = await fetcher.fetch(uri, media_types=_MEDIA_TYPES)
        listed = frozenset(_REDIRECT_URIS.decode(fetched.body))
    except FetchError:
        raise _invalid("cannot be fetched") from None
    except (msgspec.DecodeError, RecursionError):
        raise _invalid("does not hold a JSON array of URIs") from None
    missing = [it for it in metadata.redirect_uris if it not in listed]
    if missing:
        raise _invalid(f"does not list {missing[0]}")


def _invalid(fault: str) -> InvalidClientMetadata:
    return InvalidClientMetadata([("invalid_client_metadata", f"sector_identifier_uri: {fault}")])
