"""What every test may use: real Tarantool processes, never a substitute."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.child import PrivateTarantool
from storage.store import Store

MEMORY = 128 * 1024 * 1024
CALL_TIMEOUT = 5.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--everywhere",
        action="store_true",
        help="run all contract tests of the store in all topologies: minutes more",
    )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose path is short enough for a unix socket."""
    path = Path(tempfile.mkdtemp(prefix="idp-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def _tarantool(path: Path) -> Iterator[PrivateTarantool]:
    process = PrivateTarantool(path, MEMORY)
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def tarantool() -> Iterator[PrivateTarantool]:
    """One Tarantool for all tests that do not harm it."""
    path = Path(tempfile.mkdtemp(prefix="idp-"))
    yield from _tarantool(path)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def fresh_tarantool(directory: Path) -> Iterator[PrivateTarantool]:
    """A Tarantool of the test's own, empty at first."""
    yield from _tarantool(directory)


async def connect(process: PrivateTarantool) -> Store:
    password = (process.directory / "password").read_text().strip()
    return await Store.connect(process.socket_path, password, CALL_TIMEOUT)


@pytest.fixture
async def store(tarantool: PrivateTarantool) -> AsyncIterator[Store]:
    connected = await connect(tarantool)
    yield connected
    await connected.close()


@pytest.fixture
async def fresh_store(fresh_tarantool: PrivateTarantool) -> AsyncIterator[Store]:
    connected = await connect(fresh_tarantool)
    yield connected
    await connected.close()
