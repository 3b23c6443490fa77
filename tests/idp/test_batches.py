"""Calls made together: who goes with whom, and whom an error befalls."""

import asyncio
from dataclasses import dataclass, field

import pytest

from idp.outbound.batches import Batches
from storage.errors import StoreBug, Unavailable


@dataclass
class Doubling:
    """Answers with the double, and fails for some numbers."""

    calls: list[list[int]] = field(default_factory=list)
    failing: dict[int, Exception] = field(default_factory=dict)

    async def __call__(self, numbers: list[int]) -> list[int]:
        """Answer in a while."""
        self.calls.append(numbers)
        await asyncio.sleep(0.01)
        for number in numbers:
            if number in self.failing:
                raise self.failing[number]
        return [2 * it for it in numbers]


async def test_who_comes_while_one_is_asked_about_goes_with_the_next() -> None:
    doubling = Doubling()
    batches = Batches(doubling)
    first = asyncio.create_task(batches.ask(1))
    await asyncio.sleep(0.005)
    assert await asyncio.gather(*map(batches.ask, range(2, 20))) == list(range(4, 40, 2))
    assert await first == 2
    assert doubling.calls == [[1], list(range(2, 18)), [18, 19]]
    assert await batches.ask(20) == 40


async def test_a_failure_is_told_to_all_that_it_befell_and_to_no_other() -> None:
    doubling = Doubling(failing={2: Unavailable("no store")})
    batches = Batches(doubling)
    told = await asyncio.gather(*map(batches.ask, range(1, 20)), return_exceptions=True)
    assert [isinstance(it, Unavailable) for it in told] == 16 * [True] + 3 * [False]
    assert len(doubling.calls) == 2


async def test_what_is_wrong_with_one_does_not_befall_the_others() -> None:
    doubling = Doubling(failing={2: StoreBug("what is that?")})
    batches = Batches(doubling)
    told = await asyncio.gather(*map(batches.ask, range(1, 4)), return_exceptions=True)
    assert [told[0], told[2]] == [2, 6]
    assert isinstance(told[1], StoreBug)


async def test_who_goes_away_does_not_stop_the_others() -> None:
    batches = Batches(Doubling())
    gone = asyncio.create_task(batches.ask(1))
    stays = asyncio.create_task(batches.ask(2))
    await asyncio.sleep(0.005)
    gone.cancel()
    assert await stays == 4
    with pytest.raises(asyncio.CancelledError):
        await gone
    await batches.close()


async def test_too_few_answers_leave_nobody_waiting() -> None:
    async def one_answer(numbers: list[int]) -> list[int]:
        return numbers[:1]

    batches = Batches(one_answer)
    async with asyncio.timeout(1):
        told = await asyncio.gather(batches.ask(1), batches.ask(2), return_exceptions=True)
    assert all(isinstance(it, ValueError) for it in told)


async def test_nothing_is_asked_for_who_went_away_before_it_could_be() -> None:
    doubling = Doubling()
    batches = Batches(doubling)
    first, gone, stays = (asyncio.create_task(batches.ask(it)) for it in (1, 2, 3))
    await asyncio.sleep(0)
    late = [asyncio.create_task(batches.ask(it)) for it in range(4, 22)]
    await asyncio.sleep(0.005)
    for task in (gone, *late):
        task.cancel()
    assert [await first, await stays] == [2, 6]
    await asyncio.sleep(0)
    assert doubling.calls == [[1, 2, 3]]
    await batches.close()
