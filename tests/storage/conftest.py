"""The store of the contract tests, in each topology.

A test that asks for `store` runs in all of them. One that needs a store of its own (`fresh_store`)
does so with `--everywhere`, and else with a server's private Tarantool alone: three nodes take
seconds to start. One that harms a process runs with the process that it names.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from storage.store import Store
from tests.storage.builders import Owner
from tests.storage.topologies import TOPOLOGIES, Child, Elsewhere, Served, serving

_OF_CHILD = {"tarantool", "fresh_tarantool"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    asked = set(metafunc.fixturenames)
    if "topology" in asked:
        everywhere = "fresh" not in asked or metafunc.config.getoption("everywhere")
        chosen = TOPOLOGIES if everywhere and not asked & _OF_CHILD else TOPOLOGIES[:1]
        metafunc.parametrize("topology", chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
def topology(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def external() -> Iterator[Served]:
    with serving("external") as nodes:
        yield Elsewhere(nodes)


@pytest.fixture(scope="session")
def replicated() -> Iterator[Served]:
    with serving("replicated") as nodes:
        yield Elsewhere(nodes)


@pytest.fixture(scope="session")
def served(topology: str, request: pytest.FixtureRequest) -> Served:
    """For all tests that do not harm it; started once, however often a test wants another one."""
    if topology == "child":
        return Child(request.getfixturevalue("tarantool"))
    elsewhere: Served = request.getfixturevalue(topology)
    return elsewhere


@pytest.fixture
def fresh(topology: str, request: pytest.FixtureRequest) -> Iterator[Served]:
    """The test's own, empty at first."""
    if topology == "child":
        yield Child(request.getfixturevalue("fresh_tarantool"))
    else:
        with serving(topology) as nodes:
            # The audit trail begins with what a test does, not with the promotion.
            asyncio.run(nodes["a"].eval("box.space.audit:delete(1) return true"))
            yield Elsewhere(nodes)


@pytest.fixture
async def store(served: Served) -> AsyncIterator[Store]:
    connected = await served.store()
    yield connected
    await connected.close()


@pytest.fixture
async def other_store(served: Served) -> AsyncIterator[Store]:
    """The same store over a connection of its own, as another worker has."""
    connected = await served.store()
    yield connected
    await connected.close()


@pytest.fixture
async def fresh_store(fresh: Served) -> AsyncIterator[Store]:
    connected = await fresh.store()
    yield connected
    await connected.close()


@pytest.fixture
async def owner(served: Served) -> AsyncIterator[Owner]:
    connected = await served.owner()
    yield connected
    await connected.close()


@pytest.fixture
async def fresh_owner(fresh: Served) -> AsyncIterator[Owner]:
    connected = await fresh.owner()
    yield connected
    await connected.close()
