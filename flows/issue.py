"""Tokens for a grant: access token (RFC 9068), ID token (OpenID Connect Core 2), and the answer."""

from typing import Any

from flows import subjects
from flows.claims import OPENID, select
from flows.clients import Client
from flows.grants.grant import Authorized, ServiceAuthorized
from flows.provider import Provider
from flows.response_jwt import response_jwt
from keys.hashing import left_half_hash, random_id
from storage.outcomes import Redeemed, Rotated

ACCESS_TOKEN_TYP = "at+jwt"
ACCESS_TOKEN_ALG = "ES256"
SERVICE_JTI = "~"
"""What stands in the `jti` of a service's own token: before it the epoch, and no grant."""


async def issue(
    provider: Provider, client: Client, authorized: Authorized, audience: str
) -> dict[str, Any]:
    """The token endpoint's answer (RFC 6749 5.1); `audience` is whom the access token is for."""
    now = provider.clock()
    access_token = await _access_token(provider, client, authorized, audience, now)
    answer: dict[str, Any] = {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": client.lifetimes.access_token,
        "scope": authorized.scope,
    }
    if authorized.refresh_token is not None:
        answer["refresh_token"] = authorized.refresh_token
    if OPENID in authorized.scope.split():
        answer["id_token"] = await _id_token(provider, client, authorized.grant, access_token, now)
    return answer


async def issue_to_service(
    provider: Provider, client: Client, authorized: ServiceAuthorized, audience: str
) -> dict[str, Any]:
    """The answer to a client that asks in its own name (RFC 6749 4.4.3): no refresh token."""
    now = provider.clock()
    claims = {
        "iss": provider.issuer,
        "sub": client.client_id,  # RFC 9068 2.2
        "aud": audience,
        "client_id": client.client_id,
        "scope": authorized.scope,
        "iat": now,
        "exp": now + client.lifetimes.access_token,
        "jti": f"{authorized.epoch}{SERVICE_JTI}{random_id()}",
    }
    return {
        "access_token": await provider.keys.sign(
            claims, alg=ACCESS_TOKEN_ALG, typ=ACCESS_TOKEN_TYP
        ),
        "token_type": "Bearer",
        "expires_in": client.lifetimes.access_token,
        "scope": authorized.scope,
    }


async def _access_token(
    provider: Provider, client: Client, authorized: Authorized, audience: str, now: int
) -> str:
    grant = authorized.grant
    claims = {
        "iss": provider.issuer,
        "sub": subjects.to_client(provider, client, "sub", grant.sub),
        "aud": audience,
        "client_id": client.client_id,
        "scope": authorized.scope,
        "iat": now,
        "exp": now + client.lifetimes.access_token,
        "auth_time": grant.auth_time,
        "acr": grant.acr,
        # The grant's identifier is part of the `jti`, so that the token can be asked about.
        "jti": f"{grant.grant_id}.{random_id()}",
    }
    return await provider.keys.sign(claims, alg=ACCESS_TOKEN_ALG, typ=ACCESS_TOKEN_TYP)


async def _id_token(
    provider: Provider, client: Client, grant: Redeemed | Rotated, access_token: str, now: int
) -> str:
    alg = client.metadata.id_token_signed_response_alg
    claims: dict[str, Any] = {
        "iss": provider.issuer,
        "sub": subjects.to_client(provider, client, "sub", grant.sub),
        "aud": client.client_id,
        "iat": now,
        "exp": now + client.lifetimes.id_token,
        "auth_time": grant.auth_time,
        "acr": grant.acr,
        "amr": grant.amr.split(),
        "at_hash": left_half_hash(access_token, alg),
        "sid": subjects.to_client(provider, client, "sid", grant.sid),
    }
    if isinstance(grant, Redeemed) and grant.nonce is not None:
        claims["nonce"] = grant.nonce
    if grant.customer is not None and grant.claims is not None:
        # Scopes are answered at userinfo; here only what `claims` names (OIDC Core 5.4, 5.5).
        claims |= select(grant.customer, frozenset(), grant.claims["id_token"], client.claims)
    return await response_jwt(provider, client, claims, client.protections["id_token"])
