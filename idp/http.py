"""Requests as parameters, and answers with their headers."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus, urlencode, urlsplit

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from flows.channel import Channel
from flows.errors import InvalidRequest
from flows.journeys import Browser
from flows.parameters import Parameters
from flows.provider import Provider
from flows.requests import AuthorizationResponse
from idp import cookies
from idp.outbound.logos import Logos
from idp.pages import Brand, Pages

SIZE_LIMIT = 16 * 1024
_PARAMETER_LIMIT = 100
_LOCALE = "ru"
FORM = "application/x-www-form-urlencoded"


class TooLarge(InvalidRequest):
    """RFC 9110 15.5.14: the request is larger than any that means something here."""

    status = 413


@dataclass(frozen=True, slots=True)
class Site:
    """What every endpoint works with; kept as the application's state."""

    provider: Provider
    pages: Pages
    logos: Logos


def site(request: Request) -> Site:
    """The site that a request came to."""
    found: Site = request.app.state.site
    return found


def query(request: Request) -> Parameters:
    """The query's parameters. Raises InvalidRequest."""
    data: bytes = request.scope["query_string"]
    if len(data) > SIZE_LIMIT:
        raise TooLarge("the query is too long")
    return Parameters.of(_pairs(data))


async def body(request: Request, limit: int = SIZE_LIMIT) -> bytes:
    """A request's body, of at most so many bytes. Raises TooLarge."""
    data = b""
    more = True
    # Starlette's stream takes as long as all else that happens to a form.
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        data += message.get("body", b"")
        if len(data) > limit:
            raise TooLarge("the body is too large")
        more = message.get("more_body", False)
    return data


async def form(request: Request) -> Parameters:
    """The parameters of a form body; no body at all has none. Raises InvalidRequest."""
    data = await body(request)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != FORM:
        if not data and not content_type:
            return Parameters.of(())
        raise InvalidRequest(f"the content type must be {FORM}")
    return Parameters.of(_pairs(data))


def _pairs(data: bytes) -> list[tuple[str, str]]:
    if b"\0" in data or b"%00" in data:
        raise InvalidRequest("parameters must not contain NUL")
    try:
        fields = [field.partition("=") for field in data.decode().split("&") if field]
        if len(fields) > _PARAMETER_LIMIT:
            raise InvalidRequest("too many parameters")
        return [(_decoded(name), _decoded(value)) for name, _, value in fields]
    except UnicodeDecodeError as error:
        raise InvalidRequest("parameters must be UTF-8") from error


def _decoded(text: str) -> str:
    # Most of what clients send has no escapes, and need not be taken apart to find out.
    return unquote_plus(text, errors="strict") if "%" in text or "+" in text else text


def browser(request: Request) -> Browser:
    """Who is at the other end of a request to a page."""
    https = site(request).provider.settings.https
    interaction_id = request.path_params.get("interaction_id", "")
    return Browser(
        secret=cookies.interaction(request, interaction_id, https=https) or "",
        session_secret=cookies.session(request, https=https),
        address=request.client.host if request.client else "",
        device=cookies.device(request, https=https),
    )


def json(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer that nobody may keep (RFC 6749 5.1)."""
    return Response(
        msgspec.json.encode(content),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/json",
    )


def public_json(content: Any, max_age: int) -> Response:
    """A JSON answer that anybody may keep for `max_age` seconds."""
    return json(content, headers={"Cache-Control": f"public, max-age={max_age}"})


def page(
    request: Request,
    template: str,
    *,
    locale: str,
    brand: Brand | None,
    status: int = 200,
    form_action: str = "'self'",
    **context: object,
) -> Response:
    """A page with a Content-Security-Policy of its own."""
    nonce = secrets.token_urlsafe(16)
    html = site(request).pages.render(template, locale=locale, brand=brand, nonce=nonce, **context)
    policy = [
        "default-src 'none'",
        f"style-src 'self' 'nonce-{nonce}'",
        f"script-src 'self' 'nonce-{nonce}'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    if form_action:
        policy.append(f"form-action {form_action}")
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "; ".join(policy),
        "X-Frame-Options": "DENY",
    }
    return HTMLResponse(html, status, headers)


def form_action(redirect_uri: str) -> str:
    """The `form-action` that lets a form's answer redirect to a proven redirect URI.

    Chromium applies it to redirects too. A host source cannot be an IPv6 literal, nor an app's
    scheme.
    """
    parts = urlsplit(redirect_uri)
    if parts.scheme in ("http", "https") and "[" not in parts.netloc:
        return f"'self' {parts.scheme}://{parts.netloc}"
    return f"'self' {parts.scheme}:"


def redirect(location: str) -> Response:
    """Go on by GET (RFC 9700 4.12: never a status that repeats a POST)."""
    return RedirectResponse(location, 303, {"Cache-Control": "no-store"})


def deliver(request: Request, response: AuthorizationResponse, locale: str) -> Response:
    """An authorization response on its way to the client, in its response mode."""
    if response.response_mode == "form_post":
        return page(
            request,
            "form_post.html",
            locale=locale,
            brand=None,
            form_action="",
            redirect_uri=response.redirect_uri,
            parameters=response.parameters,
        )
    members = urlencode(response.parameters)
    if response.response_mode == "fragment":
        return redirect(f"{response.redirect_uri}#{members}")
    joint = "&" if "?" in response.redirect_uri else "?"
    return redirect(f"{response.redirect_uri}{joint}{members}")


def locales(request: Request, ui_locales: str | None = None) -> list[str]:
    """The languages that a customer prefers: as the client wishes, then as the browser does."""
    accepted = request.headers.get("accept-language")
    return site(request).pages.locales(ui_locales, accepted)


def locale(request: Request, ui_locales: str | None = None, channel: Channel | None = None) -> str:
    """The language of a page, of those that the channel offers, or we where there is none."""
    preferred = locales(request, ui_locales)
    return channel.speaks(preferred) if channel else next(iter(preferred), _LOCALE)
