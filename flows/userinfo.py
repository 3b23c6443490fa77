"""The userinfo endpoint (OpenID Connect Core 5.3)."""

from typing import Any

from flows import access_tokens, subjects
from flows.claims import OPENID, select
from flows.errors import InsufficientScope, InvalidToken
from flows.parameters import Parameters
from flows.provider import Provider
from flows.response_jwt import response_jwt
from storage.outcomes import Inactive


async def userinfo(
    provider: Provider, authorization: str | None, parameters: Parameters
) -> dict[str, Any] | str:
    """The claims that an access token gives access to; a JWT if its client is registered so.

    Raises an OAuthError of RFC 6750.
    """
    token = access_tokens.verify(provider, access_tokens.presented(authorization, parameters))
    if token.claims["aud"] != provider.issuer:
        raise InvalidToken("the access token is for somebody else")
    if token.grant_id is None or OPENID not in token.scopes:
        raise InsufficientScope("the access token has no scope openid")
    found = await provider.store.access_token_read(
        grant_id=token.grant_id, jti=token.jti, now=provider.clock()
    )
    if isinstance(found, Inactive):
        raise InvalidToken("the access token was revoked")
    client = await provider.clients.get(token.client_id)
    if client is None:
        raise InvalidToken("the client is no longer registered")
    sub = subjects.to_client(provider, client, "sub", found.customer.sub)
    claims = {"sub": sub} | select(found.customer, token.scopes, found.claims, client.claims)
    protection = client.protections["userinfo"]
    if not any(protection):
        return claims
    if protection.signed_response_alg is not None:
        # OpenID Connect Core 5.3.2: so that it is nobody else's, and good for no other client.
        claims |= {"iss": provider.issuer, "aud": client.client_id}
    return await response_jwt(provider, client, claims, protection)
