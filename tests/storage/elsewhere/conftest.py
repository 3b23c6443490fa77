from collections.abc import AsyncIterator, Iterator

import pytest

from tests.storage.builders import Owner
from tests.storage.nodes import Nodes
from tests.storage.topologies import NODES, serving


@pytest.fixture(scope="session", params=NODES)
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    """For all tests that do not harm them."""
    with serving(request.param) as started:
        yield started


@pytest.fixture
async def owner(nodes: Nodes) -> AsyncIterator[Owner]:
    connected = Owner(await nodes.nodes[0].owner())
    yield connected
    await connected.close()
