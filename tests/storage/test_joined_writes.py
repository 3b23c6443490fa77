import asyncio
from typing import cast

import pytest

from storage.joined_writes import JoinedWrites

pytestmark = pytest.mark.anyio


class Written:
    """What a transport was asked to do."""

    def __init__(self) -> None:
        self.did: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.did.append(data)

    def close(self) -> None:
        self.did.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.did


@pytest.fixture
def written() -> Written:
    return Written()


def joined_writes(written: Written) -> JoinedWrites:
    return JoinedWrites(cast(asyncio.Transport, written), asyncio.get_running_loop())


async def test_what_is_written_in_one_turn_goes_out_together(written: Written) -> None:
    joined = joined_writes(written)
    joined.write(b"one ")
    joined.write(memoryview(b"two"))
    assert written.did == []
    await asyncio.sleep(0)
    joined.write(b"three")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert written.did == [b"one two", b"three"]


async def test_what_is_much_does_not_wait(written: Written) -> None:
    joined = joined_writes(written)
    joined.write(b"one")
    joined.write(70_000 * b"x")
    joined.write(b"two")
    assert written.did == [b"one" + 70_000 * b"x"]
    await asyncio.sleep(0)
    assert written.did[1:] == [b"two"]


async def test_nothing_is_lost_by_closing(written: Written) -> None:
    joined = joined_writes(written)
    joined.write(b"one")
    joined.close()
    assert joined.is_closing()
    await asyncio.sleep(0)
    assert written.did == [b"one", b"closed"]


async def test_nothing_is_written_to_what_was_closed_in_between(written: Written) -> None:
    joined = joined_writes(written)
    joined.write(b"one")
    written.close()
    await asyncio.sleep(0)
    assert written.did == [b"closed"]
