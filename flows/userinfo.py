"""The userinfo endpoint (OpenID Connect Core 5.3)."""

from typing import Any

from flows import access_tokens
from flows.claims import OPENID, select
from flows.errors import InsufficientScope, InvalidToken
from flows.parameters import Parameters
from flows.provider import Provider
from storage.outcomes import Inactive


async def userinfo(
    provider: Provider, authorization: str | None, parameters: Parameters
) -> dict[str, Any]:
    """The claims that an access token gives access to. Raises an OAuthError of RFC 6750."""
    token = access_tokens.verify(provider, access_tokens.presented(authorization, parameters))
    if OPENID not in token.scopes:
        raise InsufficientScope("the access token has no scope openid")
    found = await provider.store.access_token_read(
        grant_id=token.grant_id, jti=token.jti, now=provider.clock()
    )
    if isinstance(found, Inactive):
        raise InvalidToken("the access token was revoked")
    return {"sub": found.customer.sub} | select(found.customer, token.scopes, found.claims)
