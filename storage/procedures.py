"""Calling a stored procedure: its arguments, and its answer as a value."""

from typing import Any

import msgspec

from storage.connection import Connection


class Procedures:
    """What every part of the store contract is made of."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def _call(self, procedure: str, answer: Any, **arguments: Any) -> Any:
        # None would arrive in Lua as a value that is true.
        given = {name: value for name, value in arguments.items() if value is not None}
        return msgspec.convert(await self._connection.call(procedure, given), answer)
