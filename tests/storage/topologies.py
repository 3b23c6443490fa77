"""Where a store is: a server's own process, one node over TCP, or three. The contract is one."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from storage.child import PrivateTarantool
from storage.store import Store
from tests.conftest import CALL_TIMEOUT, connect
from tests.storage.builders import Owner
from tests.storage.nodes import MEMORY, PASSWORD, Nodes

NODES: Final = {"external": 1, "replicated": 3}
TOPOLOGIES: Final = ("child", *NODES)


@dataclass(frozen=True)
class Child:
    process: PrivateTarantool

    async def store(self) -> Store:
        return await connect(self.process)

    async def owner(self) -> Owner:
        return await Owner.connect(self.process.directory)


@dataclass(frozen=True)
class Elsewhere:
    nodes: Nodes

    async def store(self) -> Store:
        return await Store.connect(self.nodes.addresses, PASSWORD, CALL_TIMEOUT)

    async def owner(self) -> Owner:
        return Owner(await self.nodes.nodes[0].owner())


Served = Child | Elsewhere


@contextlib.contextmanager
def serving(topology: str, memory: int = MEMORY) -> Iterator[Nodes]:
    """As many nodes as that needs, empty; the first one leads."""
    nodes = Nodes(NODES[topology], memory=memory)
    try:
        nodes.start()
        if len(nodes.nodes) > 1:
            asyncio.run(nodes.promote())
        yield nodes
    finally:
        nodes.stop()
