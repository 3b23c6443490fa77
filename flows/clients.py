"""Clients and their channels, as flows see them; looked up once and kept until they change."""

from collections.abc import Mapping
from functools import cached_property
from urllib.parse import urlsplit

import msgspec

from conf.channels import LOCALES, Platform
from conf.settings import Lifetimes
from flows.channel import Channel
from flows.claims import CLAIMS
from flows.client_metadata import (
    PROTECTED_RESPONSES,
    ClientMetadata,
    ProtectedResponse,
    Protection,
)
from flows.grants.names import PHONE_OTP, REFRESH_TOKEN
from flows.uris import is_loopback_literal
from keys.encryption import RecipientKeys
from storage.outcomes import Unknown
from storage.store import Store

_KEPT = 10_000
_NEUTRAL = "#3d4852"


class ClientSecret(msgspec.Struct, frozen=True):
    """A client's secret, in one of three forms.

    Hashed by SHA-256 if it is 256 random bits of our own, by argon2id if people chose it or another
    system brought it; sealed for `client_secret_jwt`, whose MAC needs it in the clear.
    """

    sha256: bytes | None = None
    argon2id: str | None = None
    sealed: str | None = None
    expires_at: int | None = None  # Unix seconds; a secret that another one takes the place of


class RegistrationPolicy(msgspec.Struct, frozen=True):
    """What clients may be registered for: empty `redirect_hosts` allow any host.

    `service_scopes` are what they may ask for in their own name, `resources` what their tokens may
    be for. `verified` says that we know who registers them.
    """

    scopes: tuple[str, ...]
    grant_types: tuple[str, ...]
    redirect_hosts: tuple[str, ...] = ()
    service_scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    verified: bool = False


class Partner(msgspec.Struct, frozen=True):
    """What marks a client that a partner registered: its limits, which it keeps for ever.

    `policy` is that of its initial access token (RFC 7591 3); nobody has vouched for a partner
    that is not `verified`. `registration_token` is SHA-256 of the token of RFC 7592, and
    `previous_token` of the one before it, until it is first used. `software_statement` is what it
    was registered with (RFC 7591 2.3).
    """

    policy: RegistrationPolicy
    registration_token: bytes
    verified: bool = False
    previous_token: bytes | None = None
    registered_at: int = 0
    software_statement: str | None = None


class ClientDocument(msgspec.Struct, frozen=True):
    """A client as the store keeps it."""

    metadata: ClientMetadata
    secrets: tuple[ClientSecret, ...] = ()  # the newest first; two while one replaces the other
    partner: Partner | None = None
    disabled: bool = False
    platform: Platform | None = None  # what it runs on; says nothing to the protocol

    def as_json(self) -> str:
        """The text that the store keeps."""
        return msgspec.json.encode(self).decode()


class Client(msgspec.Struct, frozen=True, dict=True):
    """An OAuth client and the channel that it belongs to."""

    client_id: str
    metadata: ClientMetadata
    secrets: tuple[ClientSecret, ...]
    channel: Channel
    lifetimes: Lifetimes  # of what it is given
    partner: Partner | None = None
    platform: Platform | None = None  # what it runs on; says nothing to the protocol

    @property
    def public(self) -> bool:
        """Whether it cannot keep a secret (RFC 6749 2.1)."""
        return self.metadata.token_endpoint_auth_method == "none"

    @cached_property
    def encryption_keys(self) -> RecipientKeys:
        """What can be encrypted to it: prepared once for as long as the client is remembered."""
        return RecipientKeys(self.metadata.jwks or {"keys": []})

    @cached_property
    def protections(self) -> Mapping[ProtectedResponse, Protection]:
        """How its responses are protected."""
        return {response: self.metadata.protection(response) for response in PROTECTED_RESPONSES}

    @cached_property
    def scopes(self) -> frozenset[str]:
        """What it may ask for."""
        registered = frozenset(self.metadata.scope.split())
        return registered if self.channel.scopes is None else registered & set(self.channel.scopes)

    @cached_property
    def claims(self) -> frozenset[str]:
        """What it may learn of a customer, if they allow it: what its scopes and channel do."""
        allowed = self.channel.claims
        return frozenset(
            claim.name
            for claim in CLAIMS
            if claim.scope in self.scopes and (allowed is None or claim.name in allowed)
        )

    @cached_property
    def sector(self) -> tuple[str, ...]:
        """Within which its customers have one name (OpenID Connect Core 8.1)."""
        sector = self.metadata.sector
        # A service that redirects nobody has nothing to prove a sector by: it is one of its own.
        return (sector,) if sector is not None else ("client_id", self.client_id)

    def gets_refresh_token(self, *, offline: bool) -> bool:
        """Whether a grant of it has a refresh token: by `offline_access`, or by its policy."""
        wanted = offline or self.metadata.refresh_token_policy == "always"
        return wanted and self.allows_grant(REFRESH_TOKEN)

    def narrowed(self, scope: str) -> str:
        """What is left of a scope that was granted before."""
        allowed = self.scopes
        return " ".join([name for name in scope.split() if name in allowed])

    def allows_grant(self, grant_type: str) -> bool:
        """Whether it may use a grant type."""
        # There is no page in the phone grant, where a partner's customer could be asked.
        asked = self.partner is None or grant_type != PHONE_OTP
        return asked and grant_type in self.metadata.grant_types

    @property
    def is_first_party_native(self) -> bool:
        """Whether its customers may give it phone and code themselves, without a page of ours."""
        return self.metadata.first_party_native and self.partner is None

    def redirects_to(self, uri: str) -> bool:
        """Whether `uri` is registered (RFC 9700 4.1.3).

        It must be the very same text, but for the port of a native client's loopback IP literal
        (RFC 8252 7.3).
        """
        if uri in self.metadata.redirect_uris:
            return True
        if self.metadata.application_type != "native":
            return False
        portless = _without_loopback_port(uri)
        return portless is not None and any(
            portless == _without_loopback_port(registered)
            for registered in self.metadata.redirect_uris
        )

    def still_allows(self, redirect_uri: str, scope: str) -> bool:
        """Whether a request that was accepted before would be accepted now."""
        return self.redirects_to(redirect_uri) and self.scopes.issuperset(scope.split())


def _without_loopback_port(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    if (
        parts.scheme != "http"
        or parts.username is not None
        or not is_loopback_literal(parts.hostname)
    ):
        return None
    host = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
    # Everything but the port must be the same text: no normalisation, no second spelling.
    return uri.replace(parts.netloc, host, 1) if uri.startswith(f"http://{parts.netloc}") else None


def _of_partner(client_id: str, metadata: ClientMetadata) -> Channel:
    """What a partner says of itself, in a colour that is nobody's."""
    return Channel(
        channel_id="",
        name={it: metadata.in_language("client_name", it) or client_id for it in LOCALES},
        locale=LOCALES[0],
        color=_NEUTRAL,
        logo="",
        terms_uri=metadata.tos_uri or "",
        privacy_uri=metadata.policy_uri or "",
    )


class ClientDirectory:
    """Looks clients up in the store, and keeps them in memory until `forget` is called."""

    def __init__(self, store: Store, lifetimes: Lifetimes) -> None:
        self._store = store
        self._lifetimes = lifetimes
        self._clients: dict[str, Client] = {}
        self._channels: list[Channel] = []

    async def get(self, client_id: str) -> Client | None:
        """A client by its identifier, or None."""
        client = self._clients.get(client_id)
        if client is not None:
            return client
        asked_of = self._clients
        found = await self._store.client_read(client_id)
        if isinstance(found, Unknown):
            return None
        document = msgspec.json.decode(found.client.document, type=ClientDocument)
        if document.disabled:
            return None
        channel = (
            msgspec.json.decode(found.channel, type=Channel)
            if document.partner is None
            else _of_partner(client_id, document.metadata)
        )
        client = Client(
            client_id=client_id,
            metadata=document.metadata,
            secrets=document.secrets,
            channel=channel,
            lifetimes=channel.shortened(self._lifetimes),
            partner=document.partner,
            platform=document.platform,
        )
        if len(asked_of) >= _KEPT:
            asked_of.clear()
        # Not into what `forget` has put in its place meanwhile: this may be what has changed.
        asked_of[client_id] = client
        return client

    async def channels(self) -> list[Channel]:
        """Every channel of the group."""
        kept = self._channels
        if not kept:
            rows = await self._store.channels_list()
            kept[:] = (msgspec.json.decode(row.document, type=Channel) for row in rows)
        return kept

    def forget(self) -> None:
        """Look everything up anew: something has changed."""
        self._clients = {}
        self._channels = []
