"""The token endpoint (RFC 6749 3.2): the phases that every grant type shares."""

from typing import Any

from flows.client_auth import authenticate
from flows.errors import UnauthorizedClient, UnsupportedGrantType
from flows.grants.table import GRANTS
from flows.issue import issue
from flows.parameters import Parameters
from flows.provider import Provider


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
    authorized = await grant.authorize(provider, client, parameters.only(grant.parameters))
    return await issue(provider, client, authorized)
