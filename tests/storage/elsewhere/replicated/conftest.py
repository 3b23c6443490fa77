from collections.abc import AsyncIterator, Iterator

import pytest

from storage.store import Store
from tests.storage.elsewhere.replicated.three import three_nodes, to
from tests.storage.nodes import Nodes


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Three nodes of the test's own, of which `a` leads."""
    with three_nodes() as started:
        yield started


@pytest.fixture
async def store(nodes: Nodes) -> AsyncIterator[Store]:
    async with to(*nodes.nodes) as connected:
        yield connected
