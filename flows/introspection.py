"""The introspection endpoint (RFC 7662): whether a token is in use, for those whom it concerns.

An access token concerns the resource that it is for, and the client that it was issued to; a
refresh token its client alone. To anybody else a token is not active, as one that does not exist.
"""

from typing import Any

from flows import access_tokens, refresh_tokens, subjects
from flows.access_tokens import AccessToken
from flows.client_auth import authenticate
from flows.clients import Client
from flows.errors import InvalidClient, InvalidToken
from flows.parameters import Parameters
from flows.provider import Provider
from keys.hashing import sha256
from storage.outcomes import Active, FoundRefreshToken, ServiceActive

_INACTIVE: dict[str, Any] = {"active": False}  # RFC 7662 2.2: and not a word more
_TOLD = ("iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti", "auth_time", "acr")


async def introspect(
    provider: Provider, authorization: str | None, parameters: Parameters
) -> dict[str, Any]:
    """Answer an introspection request; `token_type_hint` is not needed. Raises an OAuthError."""
    parameters.refuse_repeated()
    client = await authenticate(provider, authorization, parameters)
    if client.public:
        # RFC 7662 2.1: who may ask must be proven, or tokens could be tried out.
        raise InvalidClient("a public client may not ask about tokens")
    token = parameters.require("token")
    grant_id = refresh_tokens.grant_of(provider.keys.secret("refresh"), token)
    if grant_id is not None:
        return await _refresh_token(provider, client, grant_id, token)
    try:
        access_token = access_tokens.verify(provider, token)
    except InvalidToken:
        return _INACTIVE
    if client.client_id != access_token.client_id and (
        client.metadata.resource != access_token.claims["aud"]
    ):
        return _INACTIVE
    return await _access_token(provider, access_token)


async def _refresh_token(
    provider: Provider, client: Client, grant_id: str, token: str
) -> dict[str, Any]:
    found = await provider.store.refresh_token_read(
        grant_id=grant_id,
        client_id=client.client_id,
        presented_hash=sha256(token),
        now=provider.clock(),
    )
    if not isinstance(found, FoundRefreshToken):
        return _INACTIVE
    return {
        "active": True,
        "iss": provider.issuer,
        "sub": subjects.to_client(provider, client, "sub", found.sub),
        "client_id": client.client_id,
        "scope": found.scope,
        "iat": found.created_at,
        "exp": found.expires_at,
    }


async def _access_token(provider: Provider, token: AccessToken) -> dict[str, Any]:
    if await provider.clients.get(token.client_id) is None or not await _in_use(provider, token):
        return _INACTIVE
    told = {name: token.claims[name] for name in _TOLD if name in token.claims}
    return {"active": True, "token_type": "Bearer"} | told


async def _in_use(provider: Provider, token: AccessToken) -> bool:
    if token.grant_id is None:
        own = await provider.store.service_token_read(
            jti=token.jti,
            client_id=token.client_id,
            epoch=token.epoch,
            issued_at=token.claims["iat"],
        )
        return isinstance(own, ServiceActive)
    found = await provider.store.access_token_read(
        grant_id=token.grant_id, jti=token.jti, now=provider.clock()
    )
    return isinstance(found, Active)
