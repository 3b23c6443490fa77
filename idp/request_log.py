"""What every request passes through: reference, host check, security headers, one log line."""

import secrets
import time
from urllib.parse import urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conf.settings import Settings
from idp import metrics

_UNMATCHED = "(none)"
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

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts = _hosts(settings)
        self._headers = [*_HEADERS, _HSTS] if settings.https else _HEADERS
        # Bound once, for it is as slow as writing the line.
        self._log = structlog.get_logger("idp.request").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        # Ten digits in a row would be masked as a phone is: a letter stands between.
        reference = f"{secrets.token_hex(3)}f{secrets.token_hex(3)[1:]}"
        noted: dict[str, object] = {}
        scope["state"] = {**scope.get("state", {}), "reference": reference, "noted": noted}
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        try:
            if self._host_is_ours(scope):
                await self._app(scope, receive, send_with_headers)
            else:
                noted["error"] = "foreign_host"
                await Response("unknown host\n", 400)(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - began
            pattern = getattr(scope.get("route"), "path", _UNMATCHED)
            metrics.request(pattern, scope["method"], status, seconds)
            client = scope.get("client")
            self._log.info(
                "request",
                method=scope["method"],
                route=pattern,
                status=status,
                ms=round(seconds * 1000, 1),
                address=client[0] if client else None,
                reference=reference,
                **noted,
            )

    def _host_is_ours(self, scope: Scope) -> bool:
        if scope["path"] in PROBES:
            return True
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        return len(hosts) == 1 and hosts[0].decode("latin-1").lower() in self._hosts


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
