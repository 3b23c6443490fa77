"""A worker's HTTP connections: uvicorn's, with an end to the size and the time of each request.

Neither uvicorn nor httptools bounds a request's headers: one client could fill a worker's memory,
or hold all its connections, without there ever being a request that could be refused.
"""

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from storage.joined_writes import JoinedWrites

# Twice what any endpoint takes, so that a moderate excess gets its 413 and not just an end.
_MOST_BYTES = 512 * 1024
_MOST_SECONDS = 20.0
_LAST_SECONDS = 0.5
# Of one connection, waiting for their turn: uvicorn reads on after each answer.
_MOST_PIPELINED = 64

IN_PROGRESS: Final = "idp.in_progress"
"""In a request's scope: how many others of this worker had no answer when it came, begun or not."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request is too large or too slow, or whose answer nobody reads."""

    arriving: ClassVar[int] = 0
    """Of how many requests of this worker the body has not come, or not all of it."""

    _arrives = False
    _received = 0
    _deadline: float | None = None  # for the request that is awaited or arrives
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _last = False

    def connection_made(  # type: ignore[override]  # as uvicorn's own
        self, transport: asyncio.Transport
    ) -> None:
        """Wait for the first request."""
        # uvicorn writes a response's head and its body apart.
        joined: Any = JoinedWrites(transport, self.loop)
        super().connection_made(joined)
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._wait_no_longer()
        for timer in (self._timer, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """Close when everything is written: left to itself, the event loop closes before that."""
        self.transport.close()

    def pause_writing(self) -> None:
        """Wait until the client reads, but not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(_MOST_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Wait no longer."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a request that is not complete."""
        super().data_received(data)
        if self._deadline is not None:
            self._received += len(data)
            if self._received > _MOST_BYTES:
                self.transport.close()

    def on_message_begin(self) -> None:
        """Wait for the rest of a request. Raises ValueError, so a 400, if too many wait already."""
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise ValueError(f"{_MOST_PIPELINED} requests wait already")
        super().on_message_begin()
        self.scope[IN_PROGRESS] = len(self.tasks)  # type: ignore[typeddict-unknown-key]
        self._await_request()

    def on_message_complete(self) -> None:
        """Leave it to uvicorn how long the connection may be idle."""
        self._wait_no_longer()
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        """Answer, for the last time if the worker is ending."""
        self._arrives = True
        BoundedProtocol.arriving += 1
        super().on_headers_complete()
        if self._last:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close when what is under way is answered; whoever has just connected may still ask."""
        if self.cycle is None:
            self._last = True  # type: ignore[unreachable]  # uvicorn's type hides that there is none
            self.loop.call_later(_LAST_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def _await_request(self) -> None:
        self._received = 0
        self._deadline = self.loop.time() + _MOST_SECONDS
        if self._timer is None:
            self._timer = self.loop.call_at(self._deadline, self._look)

    def _wait_no_longer(self) -> None:
        if self._arrives:
            self._arrives = False
            BoundedProtocol.arriving -= 1
        self._received = 0
        self._deadline = None

    def _look(self) -> None:
        # One timer goes on for all the requests of a connection that come one after the other.
        self._timer = None
        if self._deadline is None:
            return
        if self._deadline <= self.loop.time():
            self.transport.close()
        else:
            self._timer = self.loop.call_at(self._deadline, self._look)
