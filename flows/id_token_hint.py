"""`id_token_hint`: an ID token that we once issued, as proof of who was meant."""

from dataclasses import dataclass

from flows.errors import InvalidRequest
from flows.provider import Provider
from keys.errors import InvalidToken


@dataclass(frozen=True, slots=True)
class Hint:
    """What an ID token says about its past."""

    sub: str
    client_id: str
    sid: str


def read(provider: Provider, token: str) -> Hint:
    """The hint's content; an expired ID token is as good as any (RP-Initiated Logout 1.0 2).

    Raises InvalidRequest for anything that is not an ID token of ours.
    """
    try:
        claims = provider.keys.verify(token, typ="JWT", algs=provider.keys.algorithms())
    except InvalidToken as error:
        raise InvalidRequest("id_token_hint is not valid", detail=error.reason) from error
    if claims.get("iss") != provider.issuer:
        raise InvalidRequest("id_token_hint is not ours")
    return Hint(sub=claims["sub"], client_id=claims["aud"], sid=claims["sid"])
