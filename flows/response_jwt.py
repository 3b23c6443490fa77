"""Claims for a client as a JWT: signed, encrypted, or signed and then encrypted."""

from collections.abc import Mapping

import msgspec

from flows.client_metadata import Protection
from flows.clients import Client
from flows.errors import InvalidRequest, TemporarilyUnavailable
from flows.ports import FetchError
from flows.provider import Provider
from keys.encryption import RecipientKeys
from keys.errors import NoEncryptionKey

_RETRY_SECONDS = 30  # before that `jwks_uri` is not fetched again


async def response_jwt(
    provider: Provider, client: Client, claims: Mapping[str, object], protection: Protection
) -> str:
    """The claims as a JWT of which something is asked (OpenID Connect Core 2 and 5.3.2).

    Raises as `check_recipient` does.
    """
    signing, alg, enc = protection
    if signing is None:
        payload, cty = msgspec.json.encode(claims), None
    else:
        jwt = await provider.keys.sign(claims, alg=signing, typ="JWT")
        payload, cty = jwt.encode(), "JWT"
    if alg is None or enc is None:
        return payload.decode()
    keys = await _recipient_keys(provider, client)
    return _encrypt(keys, payload, alg=alg, enc=enc, cty=cty)


async def check_recipient(provider: Provider, client: Client, protection: Protection) -> None:
    """Prove that a response can be encrypted, before what cannot be done twice.

    What `jwks` holds was proven when it was registered. Raises TemporarilyUnavailable if the
    client's `jwks_uri` cannot be fetched, InvalidRequest if no key in it will do.
    """
    _, alg, enc = protection
    if alg is not None and enc is not None and client.metadata.jwks_uri is not None:
        keys = await _recipient_keys(provider, client)
        _encrypt(keys, b"", alg=alg, enc=enc, cty=None)


async def _recipient_keys(provider: Provider, client: Client) -> RecipientKeys:
    jwks_uri = client.metadata.jwks_uri
    if jwks_uri is None:
        return client.encryption_keys
    try:
        remote = await provider.remote_keys.keys(jwks_uri)
    except FetchError as error:
        raise TemporarilyUnavailable(
            "the jwks_uri of the client cannot be fetched",
            detail=error.reason,
            retry_after=_RETRY_SECONDS,
        ) from error
    return remote.recipient_keys


def _encrypt(keys: RecipientKeys, payload: bytes, *, alg: str, enc: str, cty: str | None) -> str:
    try:
        return keys.encrypt(payload, alg=alg, enc=enc, cty=cty)
    except NoEncryptionKey as error:
        raise InvalidRequest(f"the jwks_uri of the client: {error}") from error
