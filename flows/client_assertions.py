"""Client authentication by a signed JWT: `private_key_jwt` and `client_secret_jwt`.

RFC 7523 2.2 and 3, OpenID Connect Core 9.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from flows import client_secrets
from flows.client_metadata import AuthMethod
from flows.clients import Client
from flows.errors import InvalidClient
from flows.ports import FetchError
from flows.provider import Provider
from keys.assertions import MAC_ALGORITHM, Assertion
from keys.errors import InvalidToken
from keys.hashing import random_id, sha256
from storage.outcomes import UsedBefore

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_PATH = "/token"

# Of this age, or this much time before its `exp`, an assertion that is presented for the first time
# has been lying about. It bounds for how long each `jti` is remembered, too; by `iat`, because
# libraries (authlib) give a whole hour to what they sign anew for every request.
_MOST_SECONDS = 300
_SKEW_SECONDS = 30  # FAPI 2.0 5.3.2.1: to accept 10 and to refuse more than 60
# Draft-ietf-oauth-rfc7523bis 4 has the first; libraries write JWT or nothing.
_TYPES = ("client-authentication+jwt", "jwt", None)


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    jti: str
    exp: float
    iat: float | None = None
    nbf: float | None = None


def read(assertion: str) -> Assertion:
    """Take a client assertion apart. Raises InvalidClient."""
    try:
        return Assertion.read(assertion)
    except InvalidToken as error:
        raise _invalid(error.reason) from error


def method_of(assertion: Assertion) -> AuthMethod:
    """The authentication method that an assertion is of."""
    return "client_secret_jwt" if assertion.alg == MAC_ALGORITHM else "private_key_jwt"


def client_id_of(assertion: Assertion) -> str:
    """The client that an assertion claims to be from. Raises InvalidClient."""
    subject = assertion.claims.get("sub")
    # RFC 7523 3: for client authentication both are the client.
    if not isinstance(subject, str) or assertion.claims.get("iss") != subject:
        raise _invalid("iss and sub must be the client_id")
    return subject


async def prove(provider: Provider, client: Client, assertion: Assertion) -> None:
    """Prove that an assertion is `client`'s, for us, in time, and here for the first time.

    Raises InvalidClient.
    """
    registered = client.metadata.token_endpoint_auth_signing_alg
    if registered is not None and assertion.alg != registered:
        raise _invalid("alg is not the one that the client is registered for")
    if assertion.typ not in _TYPES:
        raise _invalid("typ is not that of a client assertion")
    claims = _claims(assertion.claims)
    _check_audience(provider.issuer, claims.aud)
    expires_at = _check_times(claims, provider.clock())
    await _check_origin(provider, client, assertion)
    used = await provider.store.assertion_use(
        client_id=client.client_id,
        jti_hash=sha256(claims.jti),
        # The clocks of our nodes differ, too.
        expires_at=expires_at + _SKEW_SECONDS,
        attempt=random_id(),
        now=provider.clock(),
    )
    if isinstance(used, UsedBefore):
        raise _invalid("jti was used before")


def _claims(claims: Mapping[str, Any]) -> _Claims:
    try:
        read_claims = msgspec.convert(claims, _Claims)
    except msgspec.ValidationError as error:
        raise _invalid("iss, sub, aud, exp and jti are needed, in their types") from error
    if not read_claims.jti:
        raise _invalid("jti is empty")
    return read_claims


def _check_audience(issuer: str, aud: str | list[str]) -> None:
    # Draft-ietf-oauth-rfc7523bis 4 and FAPI 2.0 5.3.2.1: the issuer, and nobody beside it, since a
    # malicious server could use elsewhere what names several. The URL of the token endpoint is
    # what OpenID Connect Core 9 asked for and older libraries send: no other server has ours.
    if isinstance(aud, list):
        if len(aud) != 1:
            raise _invalid("aud must be the issuer alone")
        aud = aud[0]
    if aud not in (issuer, issuer + TOKEN_PATH):
        raise _invalid("aud must be the issuer")


def _check_times(claims: _Claims, now: int) -> int:
    """Until when the assertion could be used."""
    begins = [it for it in (claims.iat, claims.nbf) if it is not None]
    if any(now < begin - _SKEW_SECONDS for begin in begins):
        raise _invalid("iat or nbf lies in the future")
    until = claims.exp if claims.iat is None else min(claims.exp, claims.iat + _MOST_SECONDS)
    if now >= until:
        raise _invalid("it has expired, or was made too long ago")
    if until > now + _MOST_SECONDS + _SKEW_SECONDS:
        raise _invalid("exp is too far ahead")
    return math.ceil(until)


async def _check_origin(provider: Provider, client: Client, assertion: Assertion) -> None:
    try:
        if client.metadata.token_endpoint_auth_method == "client_secret_jwt":
            _check_mac(provider, client, assertion)
        else:
            assertion.check_signature(await _jwks(provider, client, assertion.kid))
    except InvalidToken as error:
        raise _invalid(error.reason) from error


def _check_mac(provider: Provider, client: Client, assertion: Assertion) -> None:
    failure = InvalidToken("the client has no secret for it")
    for secret in client_secrets.mac_keys(provider, client):
        try:
            return assertion.check_mac(secret)
        except InvalidToken as error:
            failure = error
    raise failure


async def _jwks(provider: Provider, client: Client, kid: str | None) -> Mapping[str, Any]:
    if client.metadata.jwks_uri is None:
        return client.metadata.jwks or {"keys": []}
    try:
        remote = await provider.remote_keys.keys(client.metadata.jwks_uri, kid=kid)
    except FetchError as error:
        raise InvalidClient("the keys at jwks_uri cannot be had", detail=error.reason) from error
    return remote.jwks


def _invalid(reason: str) -> InvalidClient:
    return InvalidClient(f"client_assertion: {reason}")
