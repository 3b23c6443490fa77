"""Calling a stored procedure: its arguments, and its answer as a value."""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, get_args

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
        value = await self._connection.call(procedure, given)
        if isinstance(value, dict):
            # msgspec takes a union apart again at every call, which costs as much as signing.
            answer = _by_tag(answer).get(str(value.get("type")), answer)
        return msgspec.convert(value, answer)


@cache
def _by_tag(answer: Any) -> Mapping[str, type]:
    """The outcomes of which a union is made, by what `type` says in their answers."""
    return {
        str(outcome.__struct_config__.tag): outcome
        for outcome in get_args(answer)
        if isinstance(outcome, type) and issubclass(outcome, msgspec.Struct)
    }
