"""Clients' secrets: how they are made, kept and compared."""

import hmac
from collections.abc import Iterable, Iterator

import msgspec

from flows.client_metadata import ClientMetadata
from flows.clients import Client, ClientSecret
from flows.provider import Provider
from keys.client_secrets import ClientSecretSealer
from keys.errors import SealError
from keys.hashing import random_secret, sha256

_MAC = "client_secret_jwt"
_WITH_SECRET = ("client_secret_basic", "client_secret_post", _MAC)


def has_secret(metadata: ClientMetadata) -> bool:
    """Whether a client that is registered so proves itself by a secret."""
    return metadata.token_endpoint_auth_method in _WITH_SECRET


def new_secret(
    sealer: ClientSecretSealer, client_id: str, metadata: ClientMetadata
) -> tuple[str | None, tuple[ClientSecret, ...]]:
    """A secret of 256 random bits and the form in which it is kept; neither where it needs none.

    The former is to be handed out once the store has the latter.
    """
    if not has_secret(metadata):
        return None, ()
    secret = random_secret()
    return secret, (kept_form(sealer, client_id, metadata, secret),)


def kept_form(
    sealer: ClientSecretSealer, client_id: str, metadata: ClientMetadata, secret: str
) -> ClientSecret:
    """The form in which a secret of 256 random bits is kept for a client."""
    if metadata.token_endpoint_auth_method == _MAC:
        return ClientSecret(sealed=sealer.seal(client_id, secret))
    return ClientSecret(sha256=sha256(secret))


def carried_over(
    sealer: ClientSecretSealer,
    client_id: str,
    metadata: ClientMetadata,
    secrets: Iterable[ClientSecret],
) -> tuple[ClientSecret, ...]:
    """Those of a client's secrets that it can go on with once it is registered so.

    A hash cannot become a MAC key; what is sealed is hashed where it need not be known any more.
    Raises SealError.
    """
    if not has_secret(metadata):
        return ()
    if metadata.token_endpoint_auth_method == _MAC:
        return tuple(secret for secret in secrets if secret.sealed is not None)
    return tuple(
        msgspec.structs.replace(
            secret, sealed=None, sha256=sha256(sealer.open(client_id, secret.sealed))
        )
        if secret.sealed is not None
        else secret
        for secret in secrets
    )


def live(secrets: Iterable[ClientSecret], now: int) -> Iterator[ClientSecret]:
    """Those that are good at this time, the newest first."""
    return (it for it in secrets if it.expires_at is None or now < it.expires_at)


async def is_secret_of(provider: Provider, client: Client, presented: str) -> bool:
    """Whether a client has this secret. Raises TemporarilyUnavailable."""
    for known in live(client.secrets, provider.clock()):
        if known.sha256 is not None:
            if hmac.compare_digest(known.sha256, sha256(presented)):
                return True
        elif known.argon2id is not None and await provider.passwords.verify(
            known.argon2id, presented
        ):
            return True
    return False


def mac_keys(provider: Provider, client: Client) -> Iterator[str]:
    """The secrets that a client may compute a MAC with."""
    for known in live(client.secrets, provider.clock()):
        if known.sealed is not None:
            try:
                yield provider.keys.client_secrets.open(client.client_id, known.sealed)
            except SealError as error:
                # Its key-encryption key is lost: the client needs a new secret.
                provider.log.warning(
                    "client_secret_unusable", client_id=client.client_id, reason=str(error)
                )
