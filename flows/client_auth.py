"""Client authentication (RFC 6749 2.3): by the method that the client is registered for."""

import base64
import binascii
import hmac
from dataclasses import dataclass
from urllib.parse import unquote_plus

from flows.clients import Client
from flows.errors import InvalidClient, InvalidRequest
from flows.parameters import Parameters
from flows.provider import Provider
from keys.hashing import sha256


@dataclass(frozen=True, slots=True)
class _Credentials:
    method: str
    client_id: str
    secret: str = ""


async def authenticate(
    provider: Provider, authorization: str | None, parameters: Parameters
) -> Client:
    """The client that a request to a back-channel endpoint comes from.

    `authorization` is the header's value. Raises InvalidRequest for credentials that contradict
    each other, InvalidClient for any that are not good.
    """
    by_header = authorization is not None
    credentials = _presented(authorization, parameters)
    client = await provider.clients.get(credentials.client_id)
    if client is None:
        raise InvalidClient(detail="unknown client", challenge=by_header)
    if client.metadata.token_endpoint_auth_method != credentials.method:
        raise InvalidClient(
            "the client is registered for another authentication method", challenge=by_header
        )
    if not client.public and not await _verified(provider, client, credentials.secret):
        raise InvalidClient(detail="wrong secret", challenge=by_header)
    return client


async def _verified(provider: Provider, client: Client, presented: str) -> bool:
    for known in client.secrets:
        if known.expires_at is not None and known.expires_at <= provider.clock():
            continue
        if known.sha256 is not None:
            if hmac.compare_digest(known.sha256, sha256(presented)):
                return True
        elif known.argon2id is not None and await provider.passwords.verify(
            known.argon2id, presented
        ):
            return True
    return False


def _presented(authorization: str | None, parameters: Parameters) -> _Credentials:
    client_id = parameters.get("client_id")
    secret = parameters.get("client_secret")
    if authorization is None:
        if client_id is None:
            raise InvalidClient("client authentication is missing")
        return _Credentials("client_secret_post" if secret else "none", client_id, secret or "")
    if secret is not None:
        # RFC 6749 2.3: not more than one method in each request.
        raise InvalidRequest("more than one client authentication method")
    basic = _decode_basic(authorization)
    if client_id is not None and client_id != basic.client_id:
        raise InvalidRequest("client_id does not match the Authorization header")
    return basic


def _decode_basic(authorization: str) -> _Credentials:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("unsupported Authorization scheme", challenge=True)
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidClient("malformed Authorization header", challenge=True) from error
    client_id, colon, secret = pair.partition(":")
    if not colon or "\0" in pair:
        raise InvalidClient("malformed Authorization header", challenge=True)
    # RFC 6749 2.3.1: both are form-encoded before they become Basic's user and password.
    return _Credentials("client_secret_basic", unquote_plus(client_id), unquote_plus(secret))
