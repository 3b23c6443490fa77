"""Calling a stored procedure: its arguments, and its answer as a value."""

from functools import lru_cache
from typing import Any

import msgspec

from conf.settings import Lifetimes
from storage.connection import Connection


@lru_cache
def plain(lifetimes: Lifetimes) -> dict[str, int]:
    """Lifetimes as an argument of procedures."""
    members: dict[str, int] = msgspec.to_builtins(lifetimes)
    return members


class Procedures:
    """What every part of the store contract is made of."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def _call(self, procedure: str, answer: Any, **arguments: Any) -> Any:
        # None would arrive in Lua as a value that is true.
        given = {name: value for name, value in arguments.items() if value is not None}
        return msgspec.convert(await self._connection.call(procedure, given), answer)
