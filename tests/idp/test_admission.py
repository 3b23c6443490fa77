"""Overload: what a worker cannot do is refused at once, and the rest is served."""

import asyncio
import time
from collections import Counter

import pytest
from starlette.types import Message, Receive, Scope, Send

from idp import admission
from idp.admission import MOST_IN_PROGRESS, Admission

STEPS = 4
WORK = 0.001  # seconds for each step, in which the loop does nothing else
MANY = 2 * MOST_IN_PROGRESS


async def busy(scope: Scope, receive: Receive, send: Send) -> None:
    """Work in steps, between which other requests have their turn."""
    for _ in range(STEPS):
        time.sleep(WORK)  # noqa: ASYNC251 - the loop is late, which is the point
        await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def patient(scope: Scope, receive: Receive, send: Send) -> None:
    """Wait for somebody else, which costs nothing."""
    await asyncio.sleep(0.2)
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def ask(guarded: Admission, path: str = "/token") -> Message:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    await guarded({"type": "http", "path": path}, receive, send)
    return sent[0]


async def statuses(guarded: Admission) -> Counter[int]:
    """Those of many requests, of which more come while the first ones are in progress."""
    first = [asyncio.create_task(ask(guarded)) for _ in range(MANY)]
    await asyncio.sleep(0.05)
    answers = await asyncio.gather(*first, *(ask(guarded) for _ in range(MANY)))
    return Counter(it["status"] for it in answers)


async def test_what_is_too_much_is_refused_and_the_rest_is_served() -> None:
    guarded = Admission(busy)
    found = await statuses(guarded)
    assert found[200] >= MOST_IN_PROGRESS
    assert found[503] > 0
    assert (await ask(guarded))["status"] == 200


async def test_a_refusal_says_when_to_come_again() -> None:
    guarded = Admission(busy)
    first = [asyncio.create_task(ask(guarded)) for _ in range(MANY)]
    await asyncio.sleep(0.05)
    refusal = await ask(guarded)
    await asyncio.gather(*first)
    assert (refusal["status"], dict(refusal["headers"])[b"retry-after"]) == (503, b"1")


async def test_a_probe_is_answered_under_overload() -> None:
    guarded = Admission(busy)
    first = [asyncio.create_task(ask(guarded)) for _ in range(MANY)]
    await asyncio.sleep(0.05)
    assert (await ask(guarded, "/livez"))["status"] == 200
    await asyncio.gather(*first)


async def test_requests_that_only_wait_are_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    # Whatever else the machine does: the loop itself has nothing to do.
    monkeypatch.setattr(admission, "_LATE", 60.0)
    assert await statuses(Admission(patient)) == {200: 2 * MANY}
