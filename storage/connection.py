"""The multiplexed connection to Tarantool: calls, their time limits, and errors in our words."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asynctnt
from asynctnt.exceptions import ErrorCode, TarantoolDatabaseError, TarantoolError

from storage.errors import StoreBug, StoreError, Unavailable, Uncertain

CONTRACT = "v1"
Observe = Callable[[str, str, float], None]
"""Is told of every call: the procedure, its outcome's name, and the seconds that it took."""

_CONNECT_TIMEOUT = 1.0  # seconds
_RETRY_PAUSE = 0.05  # seconds

# The server refused before anything was written, for a reason that may pass.
_REFUSALS = frozenset(
    {
        ErrorCode.ER_MEMORY_ISSUE,
        ErrorCode.ER_NONMASTER,
        ErrorCode.ER_READONLY,
        ErrorCode.ER_WAL_IO,
        ErrorCode.ER_LOADING,
        ErrorCode.ER_NO_SUCH_PROC,
        ErrorCode.ER_NO_SUCH_USER,
        ErrorCode.ER_ACCESS_DENIED,
    }
)


class Connection:
    """Calls of the stored procedures as the user `idp`, which may execute them and nothing else."""

    def __init__(
        self, socket: Path, password: str, call_timeout: float, observe: Observe | None
    ) -> None:
        self._call_timeout = call_timeout
        self._observe = observe
        self._connection = asynctnt.Connection(
            host="unix/",
            port=str(socket),
            username="idp",
            password=password,
            # Our procedures need no schema, and ping tasks are leaked at each reconnect.
            fetch_schema=False,
            auto_refetch_schema=False,
            ping_timeout=0,
            connect_timeout=_CONNECT_TIMEOUT,
            reconnect_timeout=_RETRY_PAUSE,
        )

    async def open(self) -> None:
        """Connect, and raise Unavailable if that takes longer than a call may."""
        try:
            await asyncio.wait_for(self._connection.connect(), self._call_timeout)
        except (TimeoutError, OSError, TarantoolError) as error:
            await self.close()
            raise Unavailable(str(error) or "no connection") from error

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.disconnect()

    async def call(self, procedure: str, arguments: dict[str, Any]) -> Any:
        """Call a procedure and return its answer.

        Every procedure may be repeated, so a refused or lost call is made again until
        `call_timeout` seconds are over. Raises Unavailable, Uncertain or StoreBug.
        """
        if self._observe is None:
            return await self._call(procedure, arguments)
        began = time.monotonic()
        outcome = "cancelled"
        try:
            answer = await self._call(procedure, arguments)
            outcome = str(answer.get("type", "ok")) if isinstance(answer, dict) else "ok"
        except StoreError as error:
            outcome = type(error).__name__
            raise
        finally:
            self._observe(procedure, outcome, time.monotonic() - began)
        return answer

    async def _call(self, procedure: str, arguments: dict[str, Any]) -> Any:
        deadline = time.monotonic() + self._call_timeout
        uncertain = False
        while True:
            remaining = deadline - time.monotonic()
            sent = self._connection.is_connected
            try:
                response = await self._connection.call(
                    f"{CONTRACT}.{procedure}", [arguments], timeout=max(remaining, 0.001)
                )
            except TarantoolDatabaseError as error:
                if error.code not in _REFUSALS:
                    raise StoreBug(f"{procedure}: {error.message}") from error
                failure: Exception = error
            except (TimeoutError, TarantoolError, OSError) as error:
                uncertain = uncertain or sent
                failure = error
            else:
                return response.body[0]
            if deadline - time.monotonic() <= _RETRY_PAUSE:
                kind: type[StoreError] = Uncertain if uncertain else Unavailable
                raise kind(f"{procedure}: {failure!r}") from failure
            await asyncio.sleep(_RETRY_PAUSE)
