"""`authorization_code` (RFC 6749 4.1.3, RFC 7636 4.6)."""

from flows import refresh_tokens
from flows.clients import Client
from flows.errors import InvalidGrant
from flows.grants.grant import Authorized, Grant
from flows.grants.names import AUTHORIZATION_CODE
from flows.parameters import Parameters
from flows.provider import Provider
from keys.hashing import b64url, random_id, sha256
from storage.outcomes import Redeemed


async def _authorize(provider: Provider, client: Client, parameters: Parameters) -> Authorized:
    code = parameters.require("code")
    # OAuth 2.0 for First-Party Applications 6: what was asked without one is redeemed without one.
    read = parameters.get if client.is_first_party_native else parameters.require
    redirect_uri = read("redirect_uri")
    verifier = parameters.get("code_verifier")
    # A code begins with its grant's identifier, so the refresh token is known before it is stored.
    grant_id = code.partition(".")[0]
    refresh_token = refresh_tokens.derived(provider.keys.secret("refresh"), grant_id, code)
    redeemed = await provider.store.code_redeem(
        code_hash=sha256(code),
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        code_challenge=b64url(sha256(verifier)) if verifier else None,
        refresh_hash=sha256(refresh_token),
        attempt=random_id(),
        lifetimes=client.lifetimes,
        now=provider.clock(),
    )
    if not isinstance(redeemed, Redeemed):
        raise InvalidGrant("the code is not valid", detail=repr(redeemed))
    return Authorized(redeemed, redeemed.scope, refresh_token if redeemed.refresh else None)


AUTHORIZATION_CODE_GRANT = Grant(
    AUTHORIZATION_CODE, frozenset({"code", "redirect_uri", "code_verifier"}), _authorize
)
