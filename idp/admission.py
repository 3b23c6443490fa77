"""Who is let in while a worker has more to do than it can: what it can do, and the rest gets a 503.

Without an end to the queue every answer would come too late, and the memory would be the bound.
"""

import asyncio
import math
import time
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from idp import metrics
from idp.connections import IN_PROGRESS, BoundedProtocol
from idp.request_log import PROBES

# A burst is worked off. A queue that stands only makes everything late (RFC 8289 3.1), so that it
# is kept shorter where the loop has mostly been late for a second.
MOST_IN_PROGRESS: Final = 256
MOST_STANDING: Final = 64
_MOSTLY: Final = 0.5
_REMEMBERED: Final = 1.5  # seconds, of which as many as a burst takes are not most
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
        self._late_share = 0.0
        self._due = 0.0
        self._looking = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request (ASGI)."""
        if scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        if not self._looking:
            self._looking = True
            self._look_again()
        if self._too_many(scope.get(IN_PROGRESS, 0)):
            metrics.shed()
            # RFC 9110 15.6.4; nothing was looked at, so the request may be repeated.
            await Response(status_code=503, headers={"Retry-After": "1"})(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _too_many(self, in_progress: int) -> bool:
        if in_progress < MOST_IN_PROGRESS:
            # Bodies that trickle stand in no queue: a few clients could have all others refused.
            standing = in_progress - BoundedProtocol.arriving
            return standing >= MOST_STANDING and self._late_share > _MOSTLY
        # Not the loop's own time, which stands still for as long as a turn takes.
        return self._late or time.monotonic() > self._due + _LATE

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _LOOK_EVERY
        loop.call_at(self._due, self._look)

    def _look(self) -> None:
        late_by = asyncio.get_running_loop().time() - self._due
        self._late = late_by > _LATE
        weight = 1 - math.exp(-(_LOOK_EVERY + late_by) / _REMEMBERED)
        self._late_share += weight * (self._late - self._late_share)
        self._look_again()
