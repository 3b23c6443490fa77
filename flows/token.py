"""The token endpoint (RFC 6749 3.2): the phases that every grant type shares."""

from typing import Any

import msgspec

from flows.client_auth import authenticate
from flows.clients import Client
from flows.errors import InvalidTarget, UnauthorizedClient, UnsupportedGrantType
from flows.grants.grant import ServiceAuthorized
from flows.grants.table import GRANTS
from flows.issue import ACCESS_TOKEN_ALG, issue, issue_to_service
from flows.parameters import Parameters
from flows.provider import Provider
from flows.response_jwt import check_recipient


async def token(
    provider: Provider, authorization: str | None, parameters: Parameters
) -> dict[str, Any]:
    """Answer a token request. Raises an OAuthError."""
    parameters.refuse_repeated()
    grant = GRANTS.get(parameters.require("grant_type"))
    if grant is None:
        raise UnsupportedGrantType
    client = await authenticate(provider, authorization, parameters)
    if not client.allows_grant(grant.name):
        raise UnauthorizedClient("the client is not registered for this grant type")
    # Before a code or refresh token is spent in vain.
    provider.keys.must_sign(ACCESS_TOKEN_ALG, client.metadata.id_token_signed_response_alg)
    await check_recipient(provider, client, client.protections["id_token"])
    audience = _audience(provider, client, parameters.get("resource"))
    authorized = await grant.authorize(provider, client, parameters.only(grant.parameters))
    if isinstance(authorized, ServiceAuthorized):
        return await issue_to_service(provider, client, authorized, audience)
    # What was taken away from the client since is not given any more (RFC 6749 3.3).
    scope = client.narrowed(authorized.scope)
    if scope != authorized.scope:
        authorized = msgspec.structs.replace(authorized, scope=scope)
    return await issue(provider, client, authorized, audience)


def _audience(provider: Provider, client: Client, resource: str | None) -> str:
    """Whom the access token is for (RFC 8707 2.2): a resource that the client may name, or us.

    Before the grant is spent: a wrong name must not cost the customer a new sign-in.
    """
    if resource is None:
        return provider.issuer
    if resource not in client.metadata.resources:
        raise InvalidTarget("the client may not ask for this resource")
    return resource
