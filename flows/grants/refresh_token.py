"""`refresh_token` (RFC 6749 6), with rotation (RFC 9700 4.14.2)."""

from flows import refresh_tokens
from flows.claims import SCOPE_SYNTAX
from flows.clients import Client
from flows.errors import InvalidGrant, InvalidScope
from flows.grants.grant import Authorized, Grant
from flows.grants.names import REFRESH_TOKEN
from flows.parameters import Parameters
from flows.provider import Provider
from keys.hashing import random_id, sha256
from storage.outcomes import Mismatch, Rotated


async def _authorize(provider: Provider, client: Client, parameters: Parameters) -> Authorized:
    presented = parameters.require("refresh_token")
    scope = parameters.get("scope")
    if scope is not None and not SCOPE_SYNTAX.fullmatch(scope):
        raise InvalidScope("scope is malformed")
    secret = provider.keys.secret("refresh")
    grant_id = refresh_tokens.grant_of(secret, presented)
    if grant_id is None:
        raise InvalidGrant("the refresh token is not valid", detail="not one of ours")
    successor = refresh_tokens.derived(secret, grant_id, presented)
    rotated = await provider.store.refresh_rotate(
        grant_id=grant_id,
        client_id=client.client_id,
        presented_hash=sha256(presented),
        successor_hash=sha256(successor),
        scope=scope,
        attempt=random_id(),
        lifetimes=client.lifetimes,
        now=provider.clock(),
    )
    if isinstance(rotated, Mismatch) and rotated.parameter == "scope":
        raise InvalidScope("the scope exceeds what was granted")
    if not isinstance(rotated, Rotated):
        raise InvalidGrant("the refresh token is not valid", detail=repr(rotated))
    return Authorized(rotated, scope or rotated.scope, successor)


REFRESH_TOKEN_GRANT = Grant(REFRESH_TOKEN, frozenset({"refresh_token", "scope"}), _authorize)
