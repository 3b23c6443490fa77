"""Access tokens on their way back: who presents one, and whether it is ours and in time."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.errors import InvalidRequest, InvalidToken, MissingToken
from flows.issue import ACCESS_TOKEN_ALG, ACCESS_TOKEN_TYP, SERVICE_JTI
from flows.parameters import Parameters
from flows.provider import Provider
from keys.errors import InvalidToken as UnverifiedToken


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A verified access token; whether it is still in use is for the store to say.

    It has a grant, or it is a service's own and has the epoch of its issue.
    """

    claims: Mapping[str, Any]
    grant_id: str | None
    epoch: int

    @property
    def jti(self) -> str:
        """Its identifier."""
        return str(self.claims["jti"])

    @property
    def client_id(self) -> str:
        """The client that it was issued to."""
        return str(self.claims["client_id"])

    @property
    def scopes(self) -> frozenset[str]:
        """What it allows."""
        return frozenset(self.claims["scope"].split())

    @property
    def expires_at(self) -> int:
        """When it is over, in Unix seconds."""
        return int(self.claims["exp"])


def presented(authorization: str | None, parameters: Parameters) -> str:
    """The bearer token of a request (RFC 6750 2.1 and 2.2).

    Raises MissingToken, or InvalidRequest when it comes in more than one way.
    """
    parameters.refuse_repeated()
    in_body = parameters.get("access_token")
    if authorization is None:
        if in_body is None:
            raise MissingToken
        return in_body
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise MissingToken
    if in_body is not None:
        raise InvalidRequest("more than one access token")
    if not value.strip():
        raise InvalidRequest("the Authorization header holds no token")
    return value.strip()


def verify(provider: Provider, token: str) -> AccessToken:
    """Verify an access token by itself, whomever it is for (RFC 9068 4). Raises InvalidToken."""
    try:
        claims = provider.keys.verify(token, typ=ACCESS_TOKEN_TYP, algs=(ACCESS_TOKEN_ALG,))
    except UnverifiedToken as error:
        raise InvalidToken("the access token is not valid", detail=error.reason) from error
    if claims["iss"] != provider.issuer:
        raise InvalidToken("the access token is for somebody else")
    if provider.clock() >= claims["exp"]:
        raise InvalidToken("the access token has expired")
    epoch, service, _ = claims["jti"].partition(SERVICE_JTI)
    if service:
        return AccessToken(claims, None, int(epoch))
    return AccessToken(claims, claims["jti"].partition(".")[0], 0)
