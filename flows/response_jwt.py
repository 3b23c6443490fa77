"""Claims for a client as a JWT: signed, encrypted, or signed and then encrypted."""

from collections.abc import Mapping

import msgspec

from flows.client_metadata import Protection
from flows.clients import Client
from flows.provider import Provider


async def response_jwt(
    provider: Provider, client: Client, claims: Mapping[str, object], protection: Protection
) -> str:
    """The claims as a JWT of which something is asked (OpenID Connect Core 2 and 5.3.2)."""
    signing, alg, enc = protection
    if signing is None:
        payload, cty = msgspec.json.encode(claims), None
    else:
        jwt = await provider.keys.sign(claims, alg=signing, typ="JWT")
        payload, cty = jwt.encode(), "JWT"
    if alg is None or enc is None:
        return payload.decode()
    return client.encryption_keys.encrypt(payload, alg=alg, enc=enc, cty=cty)
