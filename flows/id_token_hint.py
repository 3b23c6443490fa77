"""`id_token_hint`: an ID token that we once issued, as proof of who was meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.errors import InvalidRequest
from flows.provider import Provider
from keys.errors import InvalidToken
from keys.signing import ALGORITHMS


@dataclass(frozen=True, slots=True)
class Hint:
    """What an ID token says about its past; `sub` and `sid` in the words of its client."""

    sub: str
    client_id: str
    sid: str


def read(provider: Provider, token: str) -> Hint:
    """The hint's content; an expired ID token is as good as any (RP-Initiated Logout 1.0 2).

    Raises InvalidRequest for anything that is not an ID token of ours.
    """
    try:
        claims = _claims(provider, token)
    except InvalidToken as error:
        raise InvalidRequest("id_token_hint is not valid", detail=error.reason) from error
    # Signed userinfo is a JWT of ours too, which has no `sid` (OpenID Connect Core 5.3.2).
    if claims.get("iss") != provider.issuer or "sid" not in claims:
        raise InvalidRequest("id_token_hint is not an ID token of ours")
    return Hint(sub=claims["sub"], client_id=claims["aud"], sid=claims["sid"])


def _claims(provider: Provider, token: str) -> Mapping[str, Any]:
    # OpenID Connect Core 3.1.2.1: of an encrypted ID token the client sends what it decrypted, or
    # encrypts that to us. The one that we encrypted to the client is beyond us.
    if token.count(".") == 4:  # noqa: PLR2004  RFC 7516 7.1
        token = provider.keys.decrypt(token).decode(errors="replace")
    return provider.keys.verify_past(token, typ="JWT", algs=ALGORITHMS)
