"""Three nodes of a test's own, whose network can be cut, and who uses them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

from storage.replica_set import NodeState
from storage.store import Store
from tests.storage.links import Links
from tests.storage.nodes import PASSWORD, Node, Nodes

PATIENCE = 4.5  # seconds, as a server's


@contextlib.contextmanager
def three_nodes() -> Iterator[Nodes]:
    """Of which `a` leads."""
    with Links() as links:
        started = Nodes(3, links)
        try:
            started.start()
            leader = asyncio.run(started.promote())
            assert leader.name == "a"
            yield started
        finally:
            started.stop()


@contextlib.asynccontextmanager
async def to(*nodes: Node, patience: float = PATIENCE) -> AsyncIterator[Store]:
    store = await Store.connect([node.address for node in nodes], PASSWORD, patience)
    try:
        yield store
    finally:
        await store.close()


async def becomes(nodes: Nodes, name: str, is_so: Callable[[NodeState], bool]) -> NodeState:
    deadline = time.monotonic() + 10
    while True:
        state = (await nodes.replica_set.states()).get(nodes[name].address)
        if state is not None and is_so(state):
            return state
        assert time.monotonic() < deadline, state
        await asyncio.sleep(0.05)
