"""The store's owner, who may look into every space and run any Lua: for operators' commands."""

from pathlib import Path
from typing import Any, Self

import tarantool

from conf.model import Address
from storage.child import greets
from storage.elsewhere import greets_at
from storage.errors import StoreBug, Unavailable

_CONNECT_SECONDS = 5.0


class Owner:
    """A connection that waits for its answer however long that takes, as a checkpoint may.

    So it is made only to a Tarantool that greets: one that hangs would not be noticed.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @classmethod
    def connect(cls, directory: Path) -> Self:
        """Connect to the private Tarantool of a directory. Raises Unavailable."""
        try:
            password = (directory / "owner.password").read_text(encoding="ascii")
        except OSError as error:
            raise Unavailable(str(error)) from error
        if not greets(directory / "tarantool.sock"):
            raise Unavailable(f"{directory / 'tarantool.sock'}: it does not answer")
        return cls._connect(None, str(directory / "tarantool.sock"), password)

    @classmethod
    def connect_to(cls, address: Address, password: str) -> Self:
        """Connect to a node elsewhere. Raises Unavailable."""
        if not greets_at(address):
            raise Unavailable(f"{address.host}:{address.port}: it does not answer")
        return cls._connect(address.host, address.port, password)

    @classmethod
    def _connect(cls, host: str | None, port: str | int, password: str) -> Self:
        try:
            connection = tarantool.Connection(
                host,
                port,
                user="owner",
                password=password,
                fetch_schema=False,
                connection_timeout=_CONNECT_SECONDS,
                socket_timeout=None,
                reconnect_max_attempts=0,
            )
        except (OSError, tarantool.Error) as error:
            raise Unavailable(str(error)) from error
        return cls(connection)

    def eval(self, lua: str, *arguments: object) -> Any:
        """Run Lua and return its first value. Raises Unavailable or StoreBug."""
        try:
            answer = self._connection.eval(lua, arguments).data
        except tarantool.NetworkError as error:
            raise Unavailable(str(error)) from error
        except tarantool.DatabaseError as error:
            raise StoreBug(str(error.args[-1])) from error
        return answer[0] if answer else None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
