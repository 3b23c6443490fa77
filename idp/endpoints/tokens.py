"""The endpoints that clients call themselves: token, challenge, one-time code, userinfo, ..."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from flows.grants import phone_otp
from flows.introspection import introspect
from flows.native_login import Insufficient
from flows.native_login import challenge as answer_challenge
from flows.parameters import Parameters
from flows.revocation import revoke
from flows.token import token as answer_token
from flows.userinfo import userinfo as answer_userinfo
from idp import http


async def token(request: Request) -> Response:
    """RFC 6749 3.2."""
    parameters = await http.form(request)
    answer = await answer_token(
        http.site(request).provider, request.headers.get("authorization"), parameters
    )
    return http.json(answer, headers={"Pragma": "no-cache"})


async def challenge(request: Request) -> Response:
    """OAuth 2.0 for First-Party Applications 5 (draft-ietf-oauth-first-party-apps-04)."""
    parameters = await http.form(request)
    answer = await answer_challenge(
        http.site(request).provider,
        request.headers.get("authorization"),
        parameters,
        address=request.client.host if request.client else "",
        locales=http.locales(request, parameters.get("ui_locales")),
    )
    if isinstance(answer, Insufficient):
        members = {"error": "insufficient_authorization", **msgspec.to_builtins(answer)}
        return http.json(members, status=403)
    return http.json(answer)


async def otp(request: Request) -> Response:
    """Begin the phone grant: send a one-time code."""
    parameters = await http.form(request)
    started = await phone_otp.start(
        http.site(request).provider,
        request.headers.get("authorization"),
        parameters,
    )
    return http.json(started)


async def revocation(request: Request) -> Response:
    """RFC 7009."""
    parameters = await http.form(request)
    await revoke(http.site(request).provider, request.headers.get("authorization"), parameters)
    return Response(status_code=200, headers={"Cache-Control": "no-store"})


async def introspection(request: Request) -> Response:
    """RFC 7662."""
    parameters = await http.form(request)
    return http.json(
        await introspect(
            http.site(request).provider, request.headers.get("authorization"), parameters
        )
    )


async def userinfo(request: Request) -> Response:
    """OpenID Connect Core 5.3."""
    parameters = await http.form(request) if request.method == "POST" else Parameters.of(())
    answer = await answer_userinfo(
        http.site(request).provider, request.headers.get("authorization"), parameters
    )
    if isinstance(answer, str):
        return Response(answer, 200, {"Cache-Control": "no-store"}, "application/jwt")
    return http.json(answer)
