"""The Tarantool nodes that a store consists of, and the one among them that answers.

A single node always does. Of several, each is asked all the time whether it leads, and the one
with the greatest term counts: an old writer may not know yet that it is not one any more.
"""

import asyncio
import contextlib
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import asynctnt
from asynctnt.exceptions import TarantoolError
from asynctnt.iproto.protocol import Protocol

from conf.model import Address
from storage.child import GREETING
from storage.joined_writes import JoinedWrites

CONTRACT = "v1"
RETRY_PAUSE = 0.05  # seconds
_CONNECT_TIMEOUT = 1.0  # seconds
_ASK_PAUSE = 0.2  # seconds
_ASK_TIMEOUT = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node listens, for asynctnt: a host and a port, or `unix/` and a path."""

    host: str
    port: int | str

    @classmethod
    def of(cls, at: Path | Address) -> Self:
        """The place of a unix socket or of an address."""
        return cls("unix/", str(at)) if isinstance(at, Path) else cls(at.host, at.port)


async def greets(place: Place) -> bool:
    """Whether a Tarantool answers there: asynctnt leaks its connections to one that does not."""
    try:
        async with asyncio.timeout(_ASK_TIMEOUT):
            if isinstance(place.port, str):
                reader, writer = await asyncio.open_unix_connection(place.port)
            else:
                reader, writer = await asyncio.open_connection(place.host, place.port)
            try:
                return await reader.read(len(GREETING)) == GREETING
            finally:
                writer.close()
    except (TimeoutError, OSError):
        return False


class _Protocol(Protocol):  # type: ignore[misc]  # asynctnt has no types
    """asynctnt's, which writes every call apart."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(JoinedWrites(transport, asyncio.get_running_loop()))


class _Connection(asynctnt.Connection):  # type: ignore[misc]  # as above
    protocol_factory = functools.partialmethod(asynctnt.Connection.protocol_factory, cls=_Protocol)


class Node:
    """A connection to one node that is made again for ever."""

    def __init__(self, place: Place, user: str, password: str) -> None:
        self.place = place
        self._arguments = {
            "host": place.host,
            "port": place.port,
            "username": user,
            "password": password,
            # Our procedures need no schema, and ping tasks are leaked at each reconnect.
            "fetch_schema": False,
            "auto_refetch_schema": False,
            "ping_timeout": 0,
            "connect_timeout": _CONNECT_TIMEOUT,
            "reconnect_timeout": RETRY_PAUSE,
        }
        self.connection = _Connection(**self._arguments)

    async def connect(self) -> None:
        """Connect, however long it takes. Raises TarantoolError if the node refuses us."""
        await self.connection.connect()

    async def leads(self) -> tuple[bool, int] | None:
        """Whether it says that it leads, and since which term; None if it says nothing."""
        try:
            answer = await self.connection.call(f"{CONTRACT}.leads", timeout=_ASK_TIMEOUT)
        except (TimeoutError, TarantoolError, OSError):
            return None
        return answer.body[0]["leads"], answer.body[0]["term"]

    async def drop(self) -> None:
        """Give up all calls that wait for an answer of this node."""
        before, self.connection = self.connection, _Connection(**self._arguments)
        await before.disconnect()

    async def close(self) -> None:
        """Close the connection."""
        await self.connection.disconnect()


class Nodes:
    """All nodes of a store; `writer` is the connection that calls go to, if there is one."""

    def __init__(self, places: Sequence[Place], user: str, password: str) -> None:
        self._nodes = [Node(place, user, password) for place in places]
        self._leader = self._nodes[0] if len(places) == 1 else None
        self._term = -1
        self._found = asyncio.Event()
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def several(self) -> bool:
        """Whether another node may take over."""
        return len(self._nodes) > 1

    @property
    def writer(self) -> Any | None:
        """The asynctnt connection to the node that answers."""
        return self._leader.connection if self._leader is not None else None

    async def open(self) -> None:
        """Return when the node that answers is connected, however long that takes."""
        if not self.several:
            await self._nodes[0].connect()
            return
        self._tasks = [asyncio.create_task(self._follow(node)) for node in self._nodes]
        await self._found.wait()

    async def close(self) -> None:
        """Close all connections."""
        self._ending.set()
        if self._tasks:
            # asynctnt leaves a connection behind if it is cancelled while it connects.
            _, late = await asyncio.wait(self._tasks, timeout=_CONNECT_TIMEOUT)
            for task in late:
                task.cancel()
        for node in self._nodes:
            await node.close()

    async def _follow(self, node: Node) -> None:
        while not self._ending.is_set():
            if node.connection.is_connected:
                self._hear(node, await node.leads())
            elif await greets(node.place):
                with contextlib.suppress(TarantoolError, OSError):
                    await node.connect()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK_PAUSE):
                    await self._ending.wait()

    def _hear(self, node: Node, said: tuple[bool, int] | None) -> None:
        if said is None:
            # Slow is not dead: it stays the leader until there is another one.
            return
        leads, term = said
        if leads and term > self._term:
            before, self._leader, self._term = self._leader, node, term
            self._found.set()
            if before is not None and before is not node:
                self._tasks.append(asyncio.create_task(before.drop()))
        elif not leads and node is self._leader:
            self._leader = None
