"""Health: whether the process lives, and whether its store takes writes."""

from starlette.requests import Request
from starlette.responses import Response

from idp import http


async def livez(_: Request) -> Response:
    """The process answers."""
    return http.json({"status": "ok"})


async def readyz(request: Request) -> Response:
    """The store has just taken a write."""
    provider = http.site(request).provider
    version = await provider.store.ready(now=provider.clock())
    return http.json({"status": "ok", "schema_version": version})
