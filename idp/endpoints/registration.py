"""Dynamic registration (RFC 7591) and its management (RFC 7592)."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from flows import client_configuration, registration
from flows.errors import MissingToken, UnacceptableMetadata
from idp import http

_SIZE_LIMIT = 65_536  # a certificate chain in a JWK takes some thousands
_JSON = "application/json"


class _TooLarge(UnacceptableMetadata):
    """RFC 9110 15.5.14: the metadata are larger than any that mean something here."""

    status = 413


async def register(request: Request) -> Response:
    """RFC 7591 3."""
    answer = await registration.register(
        http.site(request).provider,
        request.headers.get("authorization"),
        await _members(request),
        _address(request),
    )
    return http.json(answer, status=201, headers={"Pragma": "no-cache"})


async def read(request: Request) -> Response:
    """RFC 7592 2.1."""
    answer = await client_configuration.read(
        http.site(request).provider,
        request.headers.get("authorization"),
        request.path_params["client_id"],
    )
    return http.json(answer, headers={"Pragma": "no-cache"})


async def update(request: Request) -> Response:
    """RFC 7592 2.2."""
    authorization = request.headers.get("authorization")
    if authorization is None:  # before anything is said about what they send
        raise MissingToken
    answer = await client_configuration.update(
        http.site(request).provider,
        authorization,
        request.path_params["client_id"],
        await _members(request),
        _address(request),
    )
    return http.json(answer, headers={"Pragma": "no-cache"})


async def delete(request: Request) -> Response:
    """RFC 7592 2.3."""
    await client_configuration.delete(
        http.site(request).provider,
        request.headers.get("authorization"),
        request.path_params["client_id"],
    )
    return Response(status_code=204, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


async def _members(request: Request) -> dict[str, Any]:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _SIZE_LIMIT:
            raise _TooLarge(f"the metadata are longer than {_SIZE_LIMIT} bytes")
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != _JSON:
        raise UnacceptableMetadata(f"the content type must be {_JSON}")
    try:
        return msgspec.json.decode(bytes(data), type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise UnacceptableMetadata("the body must be a JSON object") from error


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
