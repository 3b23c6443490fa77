"""The same contracts on a store that is not the server's own: on one node, and on three."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from storage.store import Store
from tests.conftest import CALL_TIMEOUT
from tests.storage.builders import Owner
from tests.storage.nodes import PASSWORD, Nodes


@pytest.fixture(scope="session", params=[1, 3], ids=["external", "replicated"])
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    """For all tests that do not harm them."""
    started = Nodes(request.param)
    try:
        started.start()
        if request.param > 1:
            asyncio.run(started.promote())
        yield started
    finally:
        started.stop()


async def _connect(nodes: Nodes) -> Store:
    return await Store.connect(nodes.addresses, PASSWORD, CALL_TIMEOUT)


@pytest.fixture
async def store(nodes: Nodes) -> AsyncIterator[Store]:
    connected = await _connect(nodes)
    yield connected
    await connected.close()


@pytest.fixture
async def other_store(nodes: Nodes) -> AsyncIterator[Store]:
    connected = await _connect(nodes)
    yield connected
    await connected.close()


@pytest.fixture
async def owner(nodes: Nodes) -> AsyncIterator[Owner]:
    connected = Owner(await nodes.nodes[0].owner())
    yield connected
    await connected.close()
