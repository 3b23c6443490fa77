"""Three nodes of a test's own, whose network can be cut, and who uses them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

from storage import outcomes as o
from storage.replica_set import NodeState
from storage.store import Store
from tests.storage.builders import Grant, at_once, open_grant, successor
from tests.storage.links import Links
from tests.storage.nodes import PASSWORD, Node, Nodes

PATIENCE = 4.5  # seconds, as a server's
CUSTOMERS = 20


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


async def happens(is_so: Callable[[], Awaitable[object]], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not await is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def tells(node: Node, lua: str, value: object) -> None:
    async def is_so() -> bool:
        return bool(await node.eval(lua) == value)

    await happens(is_so)


async def rejoined(nodes: Nodes, name: str) -> None:
    await nodes.rejoin(name)
    process = nodes[name].process
    assert process is not None
    assert await asyncio.to_thread(process.wait, 5) == 0
    nodes[name].start()
    await asyncio.to_thread(nodes[name].wait)


class Customers:
    """Customers whose apps go on rotating their refresh tokens, and note every answer."""

    def __init__(self, store: Store, grants: Sequence[Grant]) -> None:
        self._store = store
        self._grants = grants
        self._tokens = [grant.token for grant in grants]
        self._ending = False
        self.answers = 0
        self.longest = 0.0  # seconds that one of them waited

    @classmethod
    async def sign_in(cls, store: Store) -> "Customers":
        return cls(store, await at_once(open_grant(store) for _ in range(CUSTOMERS)))

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._rotate(place)) for place in range(CUSTOMERS)]
        try:
            yield
            await self.go_on()
        finally:
            self._ending = True
            await asyncio.gather(*tasks)

    async def go_on(self) -> None:
        """Return when all have had some more answers."""
        enough = self.answers + 3 * CUSTOMERS
        while self.answers < enough:  # noqa: ASYNC110 - there is no single event to wait for
            await asyncio.sleep(0.01)

    async def _rotate(self, place: int) -> None:
        while not self._ending:
            began = time.monotonic()
            await self._use(place)
            self.longest = max(self.longest, time.monotonic() - began)
            self.answers += 1

    async def _use(self, place: int) -> None:
        token = self._tokens[place]
        answer = await self._grants[place].rotate(self._store, token, attempt=token)
        assert isinstance(answer, o.Rotated), answer
        self._tokens[place] = successor(token)

    async def use_all(self) -> None:
        """Every token that was given out is good."""
        await at_once(self._use(place) for place in range(CUSTOMERS))
