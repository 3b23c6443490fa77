"""The revocation endpoint (RFC 7009)."""

from flows import access_tokens, refresh_tokens
from flows.access_tokens import AccessToken
from flows.client_auth import authenticate
from flows.clients import Client
from flows.errors import InvalidGrant, InvalidToken
from flows.parameters import Parameters
from flows.provider import Provider
from storage.outcomes import Mismatch


async def revoke(provider: Provider, authorization: str | None, parameters: Parameters) -> None:
    """Take a token back; one that is not known is none any more (RFC 7009 2.2).

    `token_type_hint` is not needed: the two kinds cannot be taken for each other. Raises an
    OAuthError.
    """
    parameters.refuse_repeated()
    client = await authenticate(provider, authorization, parameters)
    token = parameters.require("token")
    now = provider.clock()
    grant_id = refresh_tokens.grant_of(provider.keys.secret("refresh"), token)
    if grant_id is not None:
        revoked = await provider.store.refresh_token_revoke(
            grant_id=grant_id, client_id=client.client_id, now=now
        )
    else:
        try:
            access_token = access_tokens.verify(provider, token)
        except InvalidToken:
            return
        if access_token.grant_id is None:
            await _revoke_own(provider, client, access_token)
            return
        revoked = await provider.store.access_token_revoke(
            grant_id=access_token.grant_id,
            jti=access_token.jti,
            client_id=client.client_id,
            expires_at=access_token.expires_at,
            now=now,
        )
    if isinstance(revoked, Mismatch):
        raise InvalidGrant("the token was issued to another client")


async def _revoke_own(provider: Provider, client: Client, token: AccessToken) -> None:
    if token.client_id != client.client_id:
        raise InvalidGrant("the token was issued to another client")
    await provider.store.service_token_revoke(
        jti=token.jti,
        client_id=client.client_id,
        expires_at=token.expires_at,
        now=provider.clock(),
    )
