from collections.abc import AsyncIterator

import pytest

from storage.child import PrivateTarantool
from storage.store import Store
from tests.storage.builders import Owner


@pytest.fixture
async def other_store(tarantool: PrivateTarantool) -> AsyncIterator[Store]:
    """The same Tarantool over a connection of its own, as another worker has."""
    connected = await Store.connect(tarantool.socket_path, tarantool.password, 5.0)
    yield connected
    await connected.close()


@pytest.fixture
async def owner(tarantool: PrivateTarantool) -> AsyncIterator[Owner]:
    connected = await Owner.connect(tarantool.directory)
    yield connected
    await connected.close()


@pytest.fixture
async def fresh_owner(fresh_tarantool: PrivateTarantool) -> AsyncIterator[Owner]:
    connected = await Owner.connect(fresh_tarantool.directory)
    yield connected
    await connected.close()
