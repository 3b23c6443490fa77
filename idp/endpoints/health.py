"""Health: whether the process lives, and whether its store takes writes."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from idp import http
from storage.errors import Unavailable

# Probes wait a second as a rule; a request waits longer, as a new writer may answer it.
_PATIENCE: Final = 0.8  # seconds


async def livez(_: Request) -> Response:
    """The process answers."""
    return http.json({"status": "ok"})


async def readyz(request: Request) -> Response:
    """The store has just taken a write, and did not take long."""
    provider = http.site(request).provider
    try:
        async with asyncio.timeout(_PATIENCE):
            version = await provider.store.ready(now=provider.clock())
    except TimeoutError:
        raise Unavailable("a probe waited in vain") from None
    return http.json({"status": "ok", "schema_version": version})
