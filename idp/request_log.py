"""What every request passes through: reference, host check, security headers, one log line."""

import os
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from conf.settings import Settings
from idp import metrics
from idp.logs import GatheredLines

_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_HSTS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
# Probes come by address, and there is nothing here that a foreign page could be after.
PROBES = frozenset({"/livez", "/readyz"})


def note(request: Request, **fields: object) -> None:
    """Add fields to the request's log line."""
    request.state.noted.update(fields)


class RequestLog:
    """Refuses foreign hosts, and writes one line and one count for each request.

    The line has the route's pattern and never a query: codes, tokens and phones travel in values.
    """

    def __init__(
        self,
        answer: Callable[[Request], Awaitable[Response]],
        settings: Settings,
        lines: GatheredLines,
    ) -> None:
        self._answer = answer
        self._hosts = _hosts(settings)
        self._headers = [*_HEADERS, _HSTS] if settings.https else _HEADERS
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        began = time.perf_counter()
        reference = _reference()
        noted: dict[str, object] = {}
        scope["state"] = {"reference": reference, "noted": noted}
        scope["route"] = "(none)"
        status = 0
        try:
            if self._host_is_ours(scope):
                response = await self._answer(Request(scope, receive))
            else:
                noted["error"] = "foreign_host"
                response = Response("unknown host\n", 400)
            status = response.status_code
            response.raw_headers += self._headers
            await response(scope, receive, send)
        finally:
            seconds = time.perf_counter() - began
            metrics.request(scope["route"], scope["method"], status, seconds)
            client = scope["client"]
            self._lines.add(
                {
                    "event": "request",
                    "method": scope["method"],
                    "route": scope["route"],
                    "status": status,
                    "ms": round(seconds * 1000, 1),
                    "address": client[0] if client else None,
                    "reference": reference,
                    **noted,
                }
            )

    def _host_is_ours(self, scope: Scope) -> bool:
        if scope["path"] in PROBES:
            return True
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        return len(hosts) == 1 and hosts[0].decode("latin-1").lower() in self._hosts


def _reference() -> str:
    # Ten digits in a row would look like a phone to whoever searches logs for them: a letter
    # stands between.
    digits = os.urandom(6).hex()
    return f"{digits[:6]}f{digits[7:]}"


def _hosts(settings: Settings) -> frozenset[str]:
    """The Host values that name us: the issuer's and the listener's (against DNS rebinding)."""
    issuer = urlsplit(settings.issuer)
    listen = settings.listen
    address = f"[{listen.host}]" if ":" in listen.host else listen.host
    default_port = 443 if settings.https else 80
    hosts = {issuer.netloc.lower(), f"{address}:{listen.port}".lower()}
    if issuer.port is None:
        hosts.add(f"{issuer.netloc}:{default_port}".lower())
    return frozenset(hosts)
