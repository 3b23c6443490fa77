"""What holds for every answer of the demo: its one address and the security headers."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from idp.demo.settings import Settings


class Guard:
    """Shows the demo under its own address only, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        provider = urlsplit(settings.issuer)
        self._app = app
        self._origin = settings.origin
        self._host = urlsplit(settings.origin).netloc
        # Chromium applies form-action to the redirect after the sign-out form as well.
        self._policy = (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
            f"form-action 'self' {provider.scheme}://{provider.netloc}; "
            "base-uri 'none'; frame-ancestors 'none'"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the demo, or send a browser that used another address to the right one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self._policy
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Cache-Control"] = "no-store"
            await send(message)

        app = self._app
        if Request(scope).headers.get("host") != self._host:
            # Cookies of 127.0.0.1 are not those of localhost: a sign-in must end where it began.
            app = RedirectResponse(self._origin, status_code=303)
        await app(scope, receive, send_guarded)
