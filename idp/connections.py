"""A worker's HTTP connections: uvicorn's, with an end to the size and the time of each request.

Neither uvicorn nor httptools bounds a request's headers: one client could fill a worker's memory,
or hold all its connections, without there ever being a request that could be refused.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Twice what any endpoint takes, so that a moderate excess gets its 413 and not just an end.
_MOST_BYTES = 512 * 1024
_MOST_SECONDS = 20.0

IN_PROGRESS: Final = "idp.in_progress"
"""In a request's scope: how many others of this worker had no answer when it came, begun or not."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request is too large, or too slow to arrive."""

    _received = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(  # type: ignore[override]  # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a request that is not complete."""
        super().data_received(data)
        if self._deadline is not None:
            self._received += len(data)
            if self._received > _MOST_BYTES:
                self.transport.close()

    def on_message_begin(self) -> None:
        """Wait for the rest of a request."""
        super().on_message_begin()
        self.scope[IN_PROGRESS] = len(self.tasks)  # type: ignore[typeddict-unknown-key]
        self._await_request()

    def on_message_complete(self) -> None:
        """Leave it to uvicorn how long the connection may be idle."""
        self._wait_no_longer()
        super().on_message_complete()

    def _await_request(self) -> None:
        self._wait_no_longer()
        self._deadline = self.loop.call_later(_MOST_SECONDS, self.transport.close)

    def _wait_no_longer(self) -> None:
        self._received = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
