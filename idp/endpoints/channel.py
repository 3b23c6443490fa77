"""What a channel looks like: its logo."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from flows.clients import Channel
from flows.errors import PageError
from idp import http
from storage.outcomes import Unknown

_KEPT = 3600  # seconds


async def logo(request: Request) -> Response:
    """A channel's logo as SVG; whatever it holds, it may do nothing."""
    found = await http.site(request).provider.store.channel_read(request.path_params["channel_id"])
    if isinstance(found, Unknown):
        raise PageError("not_found", status=404)
    channel = msgspec.json.decode(found.document, type=Channel)
    headers = {
        "Cache-Control": f"public, max-age={_KEPT}",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    }
    return Response(channel.logo, headers=headers, media_type="image/svg+xml")
