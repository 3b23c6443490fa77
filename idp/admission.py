"""Who is let in while a worker has more to do than it can: what it can do, and the rest gets a 503.

Without an end to the queue every answer would come too late, and the memory would be the bound.
"""

import asyncio
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from idp import metrics
from idp.connections import IN_PROGRESS
from idp.request_log import PROBES

MOST_IN_PROGRESS: Final = 256
# Many requests may wait for somebody else's server; only with a late loop are they too many for us.
_LATE: Final = 0.005  # seconds
_LOOK_EVERY: Final = 0.02


class Admission:
    """Refuses requests while many are in progress and the event loop is late.

    Probes are let in: a worker that has much to do is alive, and ready.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._late = False
        self._looking = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        if not self._looking:
            self._looking = True
            self._look_again()
        if self._late and scope.get(IN_PROGRESS, 0) >= MOST_IN_PROGRESS:
            metrics.shed()
            # RFC 9110 15.6.4; nothing was looked at, so the request may be repeated.
            await Response(status_code=503, headers={"Retry-After": "1"})(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(_LOOK_EVERY, self._look, loop.time() + _LOOK_EVERY)

    def _look(self, due: float) -> None:
        self._late = asyncio.get_running_loop().time() > due + _LATE
        self._look_again()
