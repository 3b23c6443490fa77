"""Errors as answers: JSON for clients, a page for customers, nothing secret for anybody.

Each endpoint says in its row of the table which of the three styles is its own.
"""

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from flows.channel import Channel
from flows.errors import (
    InvalidClient,
    MissingToken,
    OAuthError,
    PageError,
    ProofOfWorkRequired,
    RegistrationError,
)
from idp import http
from idp.pages import Brand
from idp.request_log import note
from keys.errors import SigningUnavailable
from storage.errors import StoreBug, StoreError

Style = Literal["json", "bearer", "page"]
Handler = Callable[[Request], Awaitable[Response]]

_REALM = "idp"
_RETRY_AFTER = 1  # seconds: the private store is back in less
_log = structlog.get_logger("idp.errors")


def answering_errors(handler: Handler, style: Style) -> Handler:
    """A handler that answers every error in the style of its endpoint."""

    @functools.wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except OAuthError as error:
            note(request, error=error.error, detail=error.detail or error.description)
            if style == "page":
                key = "too_large" if isinstance(error, http.TooLarge) else error.error
                return _page(request, key, error.status, error.description)
            return _json(error, style)
        except PageError as error:
            note(request, error=error.key, detail=error.description)
            if style == "page":
                return _page(request, error.key, error.status, error.description, error.channel)
            return http.json({"error": error.key}, status=error.status)
        except (StoreError, SigningUnavailable) as error:
            return _unavailable(request, error, style)
        except ClientDisconnect:
            note(request, error="client_disconnected")
            return Response(status_code=400)
        except Exception:  # noqa: BLE001 - whatever it is, the customer gets an answer
            _log.exception("internal_error", reference=request.state.reference)
            note(request, error="internal")
            if style == "page":
                return _page(request, "internal", 500)
            return http.json({"error": "server_error"}, status=500)

    return answer


def _unavailable(
    request: Request, error: StoreError | SigningUnavailable, style: Style
) -> Response:
    if isinstance(error, StoreBug):
        _log.error("store_bug", reason=str(error), reference=request.state.reference)
    note(request, error="store" if isinstance(error, StoreError) else "signing", detail=str(error))
    if style == "page":
        response = _page(request, "unavailable", 503)
    else:
        response = http.json({"error": "temporarily_unavailable"}, status=503)
    response.headers["Retry-After"] = str(_RETRY_AFTER)
    return response


def _json(error: OAuthError, style: Style) -> Response:
    body: dict[str, Any] = dict(error.parameters())
    headers = {}
    if isinstance(error, ProofOfWorkRequired):
        body |= error.members
    if error.tries_left is not None:
        body["tries_left"] = error.tries_left
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, InvalidClient) and error.challenge:
        headers["WWW-Authenticate"] = f'Basic realm="{_REALM}", charset="UTF-8"'
    # RFC 6750 3 is about the token; there is nothing to prove where the metadata are at fault.
    if style == "bearer" and not isinstance(error, RegistrationError):
        headers["WWW-Authenticate"] = _bearer(error)
        if isinstance(error, MissingToken):
            body = {}
    return http.json(body, status=error.status, headers=headers)


def _bearer(error: OAuthError) -> str:
    # RFC 6750 3.1: without a token there is nothing to say but which scheme is wanted.
    members = {} if isinstance(error, MissingToken) else error.parameters()
    return ", ".join([f'Bearer realm="{_REALM}"', *(f'{k}="{v}"' for k, v in members.items())])


def _page(
    request: Request,
    key: str,
    status: int,
    description: str = "",
    channel: Channel | None = None,
) -> Response:
    locale = http.locale(request, channel=channel)
    return http.page(
        request,
        "error.html",
        locale=locale,
        brand=Brand.of(channel, locale) if channel else None,
        status=status,
        error=key,
        reference=request.state.reference,
        description=description or None,
    )


async def not_found(request: Request) -> Response:
    """Answer for a path at which there is nothing."""
    note(request, error="not_found")
    return _page(request, "not_found", 404)


def method_not_allowed(allowed: Iterable[str], style: Style) -> Handler:
    """The handler that answers for a method that a path does not have."""
    headers = {"Allow": ", ".join(allowed)}

    async def refuse(request: Request) -> Response:
        note(request, error="method_not_allowed")
        if style == "page":
            response = _page(request, "method_not_allowed", 405)
        else:
            response = http.json({"error": "invalid_request"}, status=405)
        response.headers.update(headers)
        return response

    return refuse
