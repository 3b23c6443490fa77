"""What channels show of themselves, and partners: logos, and the apps that belong to them."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from flows.app_links import app_site_association, asset_links
from flows.channel import Channel
from flows.errors import PageError
from idp import http
from idp.outbound.logos import logo_uri
from storage.outcomes import Unknown

_KEPT = 3600  # seconds


async def logo(request: Request) -> Response:
    """A channel's logo."""
    return _drawing((await _channel(request)).logo)


async def favicon(request: Request) -> Response:
    """What stands for a channel in a browser's tab."""
    return _drawing((await _channel(request)).favicon)


async def partner_logo(request: Request) -> Response:
    """A verified partner's logo, in our name: no browser goes to the partner for it."""
    site = http.site(request)
    client = await site.provider.clients.get(request.path_params["client_id"])
    uri = logo_uri(client, request.query_params.get("locale", "")) if client else None
    image = await site.logos.get(uri) if uri else None
    if image is None:
        raise PageError("not_found", status=404)
    headers = {
        "Cache-Control": f"public, max-age={_KEPT}",
        "Content-Disposition": "inline",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return Response(image.body, headers=headers, media_type=image.media_type)


async def android_apps(request: Request) -> Response:
    """Digital Asset Links."""
    channels = await http.site(request).provider.clients.channels()
    return http.public_json(asset_links(channels), _KEPT)


async def ios_apps(request: Request) -> Response:
    """Apple's associated domains; the file has no extension, and must not be behind a redirect."""
    channels = await http.site(request).provider.clients.channels()
    return http.public_json(app_site_association(channels), _KEPT)


async def _channel(request: Request) -> Channel:
    found = await http.site(request).provider.store.channel_read(request.path_params["channel_id"])
    if isinstance(found, Unknown):
        raise PageError("not_found", status=404)
    return msgspec.json.decode(found.document, type=Channel)


def _drawing(svg: str) -> Response:
    """SVG; whatever it holds, it may do nothing."""
    if not svg:
        raise PageError("not_found", status=404)
    headers = {
        "Cache-Control": f"public, max-age={_KEPT}",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    return Response(svg, headers=headers, media_type="image/svg+xml")
