"""Software statements (RFC 7591 2.3): metadata that somebody whom we trust has signed."""

from collections.abc import Mapping
from typing import Any

import msgspec

from flows.errors import InvalidSoftwareStatement, UnapprovedSoftwareStatement
from flows.provider import Provider
from keys.assertions import Assertion
from keys.errors import InvalidToken

_SKEW_SECONDS = 30
# Another JWT of the same issuer, such as an access token, says so in its `typ`.
_TYPES = ("jwt", None)
# RFC 7519 4.1: they are about the statement, not the client.
_OWN_CLAIMS = frozenset({"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "software_statement"})
# Whoever has the statement may show it, so what is signed has to say where customers are sent.
_NEEDED_FOR_TRUST = frozenset({"client_name", "redirect_uris"})


class _Claims(msgspec.Struct, frozen=True):
    iss: str
    aud: str | list[str] | None = None
    exp: float | None = None
    iat: float | None = None
    nbf: float | None = None


def read(provider: Provider, statement: str, *, known: str | None) -> dict[str, Any]:
    """The metadata that a statement has, once it is proven.

    One that is `known`, because the client is registered with it, may have expired since. Raises
    InvalidSoftwareStatement or UnapprovedSoftwareStatement.
    """
    try:
        assertion = Assertion.read(statement)
        claims = msgspec.convert(assertion.claims, _Claims)
    except InvalidToken as error:
        raise InvalidSoftwareStatement(f"it is {error.reason}") from error
    except msgspec.ValidationError as error:
        raise InvalidSoftwareStatement("its claims are not of their types") from error
    issuers = provider.settings.registration.software_statement_issuers
    issuer = next((it for it in issuers if it.issuer == claims.iss), None)
    if issuer is None:
        raise UnapprovedSoftwareStatement("its issuer is not one that is trusted here")
    try:
        assertion.check_signature(issuer.jwks)
    except InvalidToken as error:
        raise InvalidSoftwareStatement(error.reason) from error
    _check(provider, assertion, claims, expires=statement != known)
    return {name: it for name, it in assertion.claims.items() if name not in _OWN_CLAIMS}


def _check(provider: Provider, assertion: Assertion, claims: _Claims, *, expires: bool) -> None:
    now = provider.clock()
    if assertion.typ not in _TYPES:
        raise InvalidSoftwareStatement("typ is not that of a software statement")
    # RFC 7519 4.1.3: what names its audience is for nobody else. An ID token always does.
    audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
    if audience is not None and provider.issuer not in audience:
        raise InvalidSoftwareStatement("aud is somebody else")
    if expires and claims.exp is not None and now >= claims.exp + _SKEW_SECONDS:
        raise InvalidSoftwareStatement("it has expired")
    if any(it is not None and now < it - _SKEW_SECONDS for it in (claims.iat, claims.nbf)):
        raise InvalidSoftwareStatement("iat or nbf lies in the future")


def merged(members: Mapping[str, Any], signed: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata in which what is signed has taken precedence (RFC 7591 2.3), in every language."""
    names = {name.partition("#")[0] for name in signed}
    unsigned = {name: it for name, it in members.items() if name.partition("#")[0] not in names}
    return unsigned | dict(signed)


def vouches(signed: Mapping[str, Any]) -> bool:
    """Whether the metadata that are signed make a client known to be whose it says."""
    return {name for name, value in signed.items() if value is not None} >= _NEEDED_FOR_TRUST
