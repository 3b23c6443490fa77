"""The client configuration endpoint (RFC 7592): a partner's client reads and changes itself.

An update gives a new registration access token, which is derived from the one that was presented:
a partner who lost the answer repeats the request, and has the same. The old one is good until the
new one is first used.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from flows import access_tokens
from flows.client_metadata import ClientMetadata
from flows.client_registry import Registered
from flows.client_secrets import carried_over, has_secret, kept_form, live
from flows.clients import ClientDocument, ClientSecret, Partner
from flows.errors import (
    InvalidToken,
    RegistrationForbidden,
    TemporarilyUnavailable,
    UnacceptableMetadata,
)
from flows.parameters import Parameters
from flows.provider import Provider
from flows.registration import accept, count_attempt, information
from keys.errors import SealError
from keys.hashing import b64url, derive, random_id, sha256
from storage import outcomes as o
from storage.records import By

_TRIES = 5  # of a change that others keep getting ahead of
_ITSELF = By("the client itself")


@dataclass(frozen=True, slots=True)
class _Known:
    """A client, and the token by which it has proven to be the one that asks."""

    client: Registered
    partner: Partner
    token: str

    @property
    def token_is_current(self) -> bool:
        return hmac.compare_digest(sha256(self.token), self.partner.registration_token)


async def read(provider: Provider, authorization: str | None, client_id: str) -> dict[str, Any]:
    """What a client is registered for (RFC 7592 2.1). Raises InvalidToken, RegistrationError."""
    for _ in range(_TRIES):
        known = await _proven(provider, authorization, client_id)
        document = known.client.document
        if not known.token_is_current:
            # Its successor got lost on the way.
            token = _derived(provider, client_id, "token", known.token)
            return information(provider, client_id, document, token=token, secret=None)
        if known.partner.previous_token is None:
            return information(provider, client_id, document, token=known.token, secret=None)
        partner = msgspec.structs.replace(known.partner, previous_token=None)
        changed = await provider.store.client_update(
            client_id,
            old_document=known.client.row.document,
            document=msgspec.structs.replace(document, partner=partner).as_json(),
            change="token_replaced",
            by=_ITSELF,
            now=provider.clock(),
        )
        if isinstance(changed, o.Changed):
            return information(provider, client_id, document, token=known.token, secret=None)
    raise TemporarilyUnavailable(retry_after=1)


async def update(
    provider: Provider,
    authorization: str | None,
    client_id: str,
    members: Mapping[str, Any],
    address: str,
) -> dict[str, Any]:
    """Put other metadata in the place of all that a client has (RFC 7592 2.2).

    Raises InvalidToken, RegistrationError, SlowDown, TemporarilyUnavailable.
    """
    await _proven(provider, authorization, client_id)
    await count_attempt(provider, address)
    for _ in range(_TRIES):
        known = await _proven(provider, authorization, client_id)
        presented = _presented_secret(provider, known, members)
        document, token, secret = await _updated(provider, known, members)
        changed = await provider.store.client_update(
            client_id,
            old_document=known.client.row.document,
            document=document.as_json(),
            change="updated",
            detail={"changed": known.client.changed_by(document.metadata)},
            by=_ITSELF,
            now=provider.clock(),
        )
        if isinstance(changed, o.Changed):
            if secret is None and document.secrets:
                secret = presented
            return information(provider, client_id, document, token=token, secret=secret)
    raise TemporarilyUnavailable(retry_after=1)


async def delete(provider: Provider, authorization: str | None, client_id: str) -> None:
    """Remove a client and all that it was given (RFC 7592 2.3).

    Raises InvalidToken, RegistrationForbidden.
    """
    await _proven(provider, authorization, client_id)
    await provider.store.client_delete(
        client_id, revocation_id=random_id(), by=_ITSELF, now=provider.clock()
    )


async def _proven(provider: Provider, authorization: str | None, client_id: str) -> _Known:
    token = access_tokens.presented(authorization, Parameters.of(()))
    # Past the directory, which hears of a change only after a moment.
    found = await provider.store.client_read(client_id)
    if isinstance(found, o.FoundClient) and found.client.source == "registration":
        client = Registered.of(found.client)
        partner = client.document.partner
        if partner is not None and _has_token(partner, token):
            if client.document.disabled:
                raise RegistrationForbidden("the client is disabled")
            return _Known(client, partner, token)
    # RFC 7592 2: the same whether there is no such client, or the token is another one's.
    raise InvalidToken("the registration access token is not valid for this client")


def _has_token(partner: Partner, token: str) -> bool:
    presented = sha256(token)
    good = (partner.registration_token, partner.previous_token)
    return any(it is not None and hmac.compare_digest(it, presented) for it in good)


def _presented_secret(provider: Provider, known: _Known, members: Mapping[str, Any]) -> str | None:
    """The secret that the client says is its own, if it says so."""
    client_id = known.client.row.client_id
    if members.get("client_id") != client_id:
        raise UnacceptableMetadata("client_id: must be there, and this client's")
    presented = members.get("client_secret")
    if presented is None:
        return None
    secrets = live(known.client.document.secrets, provider.clock())
    if not isinstance(presented, str) or not any(
        _is_secret(provider, client_id, secret, presented) for secret in secrets
    ):
        raise UnacceptableMetadata("client_secret: is not this client's")
    return presented


def _is_secret(provider: Provider, client_id: str, kept: ClientSecret, presented: str) -> bool:
    digest = kept.sha256
    if kept.sealed is not None:
        try:
            digest = sha256(provider.keys.client_secrets.open(client_id, kept.sealed))
        except SealError:
            return False
    return digest is not None and hmac.compare_digest(digest, sha256(presented))


async def _updated(
    provider: Provider, known: _Known, members: Mapping[str, Any]
) -> tuple[ClientDocument, str, str | None]:
    """The client with other metadata, its token, and its secret where this update gives one."""
    before, client_id = known.partner, known.client.row.client_id
    accepted = await accept(
        provider, members, before.policy, known_statement=before.software_statement
    )
    # Under another sector it would learn how another partner's customers are called, and what a
    # customer allowed to one host would be had by another.
    sector = known.client.document.metadata.sector
    if sector is not None and accepted.metadata.sector != sector:
        raise UnacceptableMetadata(f"redirect_uris: must stay in the sector {sector}")
    secret, secrets = _secrets(provider, known, accepted.metadata)
    token = _derived(provider, client_id, "token", known.token)
    partner = msgspec.structs.replace(
        before,
        verified=accepted.verified,
        software_statement=accepted.software_statement,
    )
    if known.token_is_current:
        partner = msgspec.structs.replace(
            partner, registration_token=sha256(token), previous_token=sha256(known.token)
        )
    document = msgspec.structs.replace(
        known.client.document, metadata=accepted.metadata, secrets=secrets, partner=partner
    )
    return document, token, secret


def _secrets(
    provider: Provider, known: _Known, metadata: ClientMetadata
) -> tuple[str | None, tuple[ClientSecret, ...]]:
    sealer, client_id = provider.keys.client_secrets, known.client.row.client_id
    if not has_secret(metadata):
        return None, ()
    secret = _derived(provider, client_id, "secret", known.token)
    try:
        kept = carried_over(sealer, client_id, metadata, known.client.document.secrets)
    except SealError as error:
        # Its key-encryption key is lost.
        provider.log.warning("client_secret_unusable", client_id=client_id, reason=str(error))
        kept = ()
    if not kept:
        return secret, (kept_form(sealer, client_id, metadata, secret),)
    # Given by the same request before, whose answer may have been lost.
    again = any(_is_secret(provider, client_id, it, secret) for it in kept)
    return (secret if again else None), kept


def _derived(provider: Provider, client_id: str, what: str, token: str) -> str:
    return b64url(derive(provider.keys.secret("registration"), what, client_id, token))
