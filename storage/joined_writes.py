"""Writing to a socket once for all that is to be written in one turn of the event loop."""

import asyncio
from typing import Any

# What is longer goes out at once: only then is the writer told to wait for the reader.
_MOST_JOINED = 65_536  # bytes


class JoinedWrites:
    """A transport that writes together what it is given in one turn of the event loop.

    Every write calls the kernel, and wakes whoever reads up.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes | memoryview] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | memoryview) -> None:
        """Write in the next turn, or now if it is much."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MOST_JOINED:
            self._flush()

    def close(self) -> None:
        """Close when everything is written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        # Nobody could catch here what uvloop raises of a connection that is lost by now.
        if parts and not self._transport.is_closing():
            self._transport.write(b"".join(parts))
