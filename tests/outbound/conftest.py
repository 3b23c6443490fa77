"""What the tests of SMPP share: an SMS centre, and a provider that is bound to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from conf.smpp_settings import SmppSettings
from flows.ports import Receipt, Submission
from idp.outbound.smpp import SmppProvider
from tests.outbound.sms_centre import SmsCentre, sms_centre

LATIN = "Shop: your code is 012345. {[€]}\n\n@id.example.com #012345"


class Receipts:
    """What a provider tells, in order."""

    def __init__(self) -> None:
        self._told: asyncio.Queue[Receipt] = asyncio.Queue()

    async def __call__(self, receipt: Receipt) -> None:
        await self._told.put(receipt)

    async def see(self, count: int) -> list[Receipt]:
        async with asyncio.timeout(20):
            return [await self._told.get() for _ in range(count)]


class Log:
    """What it tells an operator."""

    def __init__(self) -> None:
        self.warnings: list[dict[str, object]] = []

    def info(self, event: str, **_fields: object) -> None:
        raise AssertionError(event)

    def warning(self, event: str, **fields: object) -> None:
        self.warnings.append({"event": event} | fields)


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def centre() -> AsyncIterator[SmsCentre]:
    async with sms_centre() as running:
        yield running


@pytest.fixture
def receipts() -> Receipts:
    return Receipts()


Connect = Callable[..., AbstractAsyncContextManager[SmppProvider]]


@pytest.fixture
def connect(centre: SmsCentre, receipts: Receipts, log: Log) -> Connect:
    @asynccontextmanager
    async def connected(**changed: Any) -> AsyncIterator[SmppProvider]:
        provider = SmppProvider(settings(centre, **changed), receipts, log)
        try:
            yield provider
        finally:
            await provider.close()

    return connected


def settings(centre: SmsCentre, **changed: Any) -> SmppSettings:
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": centre.port,
        "system_id": "shop",
        "password": "secret12",
        "tls": False,
        "source": "1234",
        "answer_timeout": 10.0,
    }
    return SmppSettings(**given | changed)


def submission(text: str = LATIN, *, sender: str | None = None, valid_for: int = 180) -> Submission:
    return Submission("s1", "sms", "+79991234567", text, "012345", valid_for, sender)
