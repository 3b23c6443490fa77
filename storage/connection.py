"""The multiplexed connection to Tarantool: calls, their time limits, and errors in our words."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from asynctnt.exceptions import ErrorCode, TarantoolDatabaseError, TarantoolError

from storage.errors import StoreBug, StoreError, Unavailable, Uncertain
from storage.nodes import CONTRACT, RETRY_PAUSE, Nodes

Observe = Callable[[str, str, float], None]
"""Is told of every call: the procedure, its outcome's name, and the seconds that it took."""

_ATTEMPT_TIMEOUT = 1.0  # seconds; a node waits less for its replicas
# Of one worker, under way or waiting for a writer. One more is refused at once.
_MOST_CALLS = 4096
_NO_WRITER = OSError("no node leads")

# The node refused before anything was written, for a reason that may pass.
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
    """Calls of the stored procedures as a user who may execute them and nothing else."""

    def __init__(self, nodes: Nodes, call_timeout: float, observe: Observe | None) -> None:
        self._nodes = nodes
        self._call_timeout = call_timeout
        # Where another node may have taken over, an answer that is late is not waited for.
        self._attempt_timeout = _ATTEMPT_TIMEOUT if nodes.several else call_timeout
        self._observe = observe
        self._calls = 0

    async def open(self) -> None:
        """Connect, and raise Unavailable if that takes longer than a call may."""
        try:
            await asyncio.wait_for(self._nodes.open(), self._call_timeout)
        except (TimeoutError, OSError, TarantoolError) as error:
            await self.close()
            raise Unavailable(str(error) or "no connection") from error

    async def close(self) -> None:
        """Close the connection."""
        await self._nodes.close()

    async def call(self, procedure: str, arguments: dict[str, Any]) -> Any:
        """Call a procedure and return its answer.

        Every procedure may be repeated, so a refused or lost call is made again until
        `call_timeout` seconds are over. Raises Unavailable, Uncertain or StoreBug.
        """
        began = time.monotonic()
        outcome = "cancelled"
        self._calls += 1
        try:
            if self._calls > _MOST_CALLS:
                raise Unavailable(f"{procedure}: {_MOST_CALLS} calls wait already")
            answer = await self._attempts(procedure, arguments, began + self._call_timeout)
            outcome = str(answer.get("type", "ok")) if isinstance(answer, dict) else "ok"
        except StoreError as error:
            outcome = type(error).__name__
            raise
        finally:
            self._calls -= 1
            if self._observe is not None:
                self._observe(procedure, outcome, time.monotonic() - began)
        return answer

    async def _attempts(self, procedure: str, arguments: dict[str, Any], deadline: float) -> Any:
        uncertain = False
        while True:
            remaining = max(deadline - time.monotonic(), 0.001)
            writer = self._nodes.writer
            sent = writer is not None and writer.is_connected
            try:
                if writer is None:
                    raise _NO_WRITER
                response = await writer.call(
                    f"{CONTRACT}.{procedure}",
                    [arguments],
                    timeout=min(remaining, self._attempt_timeout),
                )
            except TarantoolDatabaseError as error:
                if error.code == ErrorCode.ER_TIMEOUT:
                    uncertain = True
                elif error.code not in _REFUSALS:
                    raise StoreBug(f"{procedure}: {error.message}") from error
                failure: Exception = error
            except (TimeoutError, TarantoolError, OSError) as error:
                uncertain = uncertain or sent
                failure = error
            else:
                return response.body[0]
            if deadline - time.monotonic() <= RETRY_PAUSE:
                kind: type[StoreError] = Uncertain if uncertain else Unavailable
                raise kind(f"{procedure}: {failure!r}") from failure
            await asyncio.sleep(RETRY_PAUSE)
