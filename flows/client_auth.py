"""Client authentication (RFC 6749 2.3): by the method that the client is registered for."""

import binascii
from urllib.parse import unquote_plus

import msgspec

from flows import client_assertions
from flows.client_assertions import ASSERTION_TYPE
from flows.client_metadata import AuthMethod
from flows.client_secrets import is_secret_of
from flows.clients import Client
from flows.errors import InvalidClient, InvalidRequest
from flows.parameters import Parameters
from flows.provider import Provider
from keys.assertions import Assertion


class _Credentials(msgspec.Struct, frozen=True):
    method: AuthMethod
    client_id: str
    secret: str | None = None
    assertion: Assertion | None = None


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
    if credentials.assertion is not None:
        await client_assertions.prove(provider, client, credentials.assertion)
    elif credentials.secret is not None and not await is_secret_of(
        provider, client, credentials.secret
    ):
        raise InvalidClient(detail="wrong secret", challenge=by_header)
    return client


def _presented(authorization: str | None, parameters: Parameters) -> _Credentials:
    secret, presented = parameters.get("client_secret"), parameters.values
    by_assertion = "client_assertion" in presented or "client_assertion_type" in presented
    if (authorization is not None) + (secret is not None) + by_assertion > 1:
        # RFC 6749 2.3: not more than one method in each request.
        raise InvalidRequest("more than one client authentication method")
    if authorization is not None:
        return _decode_basic(authorization, parameters)
    if by_assertion:
        return _read_assertion(parameters)
    client_id = parameters.get("client_id")
    if client_id is None:
        raise InvalidClient("client authentication is missing")
    return _Credentials("none" if secret is None else "client_secret_post", client_id, secret)


def _decode_basic(authorization: str, parameters: Parameters) -> _Credentials:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("unsupported Authorization scheme", challenge=True)
    try:
        pair = binascii.a2b_base64(encoded.strip(), strict_mode=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidClient("malformed Authorization header", challenge=True) from error
    client_id, colon, secret = pair.partition(":")
    if not colon or "\0" in pair:
        raise InvalidClient("malformed Authorization header", challenge=True)
    # RFC 6749 2.3.1: both are form-encoded before they become Basic's user and password.
    client_id, secret = unquote_plus(client_id), unquote_plus(secret)
    if parameters.get("client_id") not in (None, client_id):
        raise InvalidRequest("client_id does not match the Authorization header")
    return _Credentials("client_secret_basic", client_id, secret)


def _read_assertion(parameters: Parameters) -> _Credentials:
    # RFC 7521 4.2: both parameters, and no client_id but the subject's.
    assertion_type = parameters.require("client_assertion_type")
    text = parameters.require("client_assertion")
    if assertion_type != ASSERTION_TYPE:
        raise InvalidClient("unsupported client_assertion_type")
    assertion = client_assertions.read(text)
    client_id = client_assertions.client_id_of(assertion)
    if parameters.get("client_id") not in (None, client_id):
        raise InvalidClient("client_assertion: its subject is not the client_id")
    return _Credentials(client_assertions.method_of(assertion), client_id, assertion=assertion)
