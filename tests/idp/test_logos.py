"""Partners' logos in memory: when they are fetched, and for how long they are kept."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from idp.outbound.fetcher import GuardedFetcher
from idp.outbound.logos import Logos
from tests.idp.pictures import JPEG, WEBP_LOSSY, png
from tests.idp.stranger import Stranger, said, stranger

PNG = png()
MINUTE, HOUR = 60, 3_600
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


class Log:
    def __init__(self) -> None:
        self.reasons: list[object] = []

    def info(self, event: str, **fields: object) -> None:
        raise AssertionError(event, fields)

    def warning(self, event: str, **fields: object) -> None:
        assert event == "logo_uri_failed"
        self.reasons.append(fields["reason"])


class World:
    """A partner with logos on a server, and who looks at the clock."""

    def __init__(self, fetcher: GuardedFetcher) -> None:
        self.now = 1_800_000_000
        self.log = Log()
        self.logos = Logos(fetcher, lambda: self.now, self.log)
        self.server = Stranger()
        self.answer = picture(PNG)
        self.held = asyncio.Event()
        self.held.set()

    def uri(self, path: str = "/logo") -> str:
        return f"http://localhost:{self.server.port}{path}"

    async def body(self, path: str = "/logo") -> bytes | None:
        image = await self.logos.get(self.uri(path))
        return None if image is None else image.body

    @property
    def fetches(self) -> int:
        return len(self.server.requests)


def picture(body: bytes, media_type: str = "image/png") -> bytes:
    return said(body, f"Content-Type: {media_type}")


async def until(condition: Callable[[], object]) -> None:
    """Let everything else run until it is so."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - nobody tells when the other side is done
            await asyncio.sleep(0.01)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    fetcher = GuardedFetcher(development=True)
    made = World(fetcher)

    async def answer(writer: asyncio.StreamWriter) -> None:
        await made.held.wait()
        writer.write(made.answer)

    async with stranger(answer) as made.server:
        yield made
        await made.logos.close()
    fetcher.close()


async def test_a_page_waits_for_nobody_and_shows_the_logo_the_next_time(world: World) -> None:
    world.held.clear()
    assert not world.logos.ready(world.uri())
    await until(lambda: world.fetches == 1)
    assert not world.logos.ready(world.uri())
    world.held.set()
    await until(lambda: world.logos.ready(world.uri()))
    assert await world.body() == PNG
    assert world.fetches == 1


async def test_all_who_need_it_wait_for_one_fetch(world: World) -> None:
    world.held.clear()
    waiting = [asyncio.create_task(world.body()) for _ in range(50)]
    await until(lambda: world.fetches == 1)
    waiting[0].cancel()
    world.held.set()
    assert await asyncio.gather(*waiting[1:]) == [PNG] * 49
    assert world.fetches == 1


async def test_a_logo_is_renewed_in_time_and_kept_for_an_hour_at_most(world: World) -> None:
    await world.body()
    world.now += HOUR // 2 - 1
    assert await world.body() == PNG
    assert world.fetches == 1
    world.now += 1
    world.answer = picture(JPEG, "image/jpeg")
    assert world.logos.ready(world.uri())
    async with asyncio.timeout(5):
        while await world.body() != JPEG:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
    assert world.fetches == 2
    world.answer = said(status="404 Not Found")
    world.now += HOUR - 1
    assert world.logos.ready(world.uri())
    await until(lambda: world.log.reasons)
    assert await world.body() == JPEG
    world.now += 1
    assert not world.logos.ready(world.uri())
    assert await world.body() is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (said(PNG, status="404 Not Found"), "its status is not 200"),
        (said(b"", "Location: /other", status="302 Found"), "it redirects"),
        (picture(SVG, "image/svg+xml"), "its media type is another one"),
        (picture(PNG, "text/html"), "its media type is another one"),
        (picture(SVG), "its content is no image that is shown"),
        (picture(JPEG), "its content is no image that is shown"),
        (picture(PNG, "image/webp"), "its content is no image that is shown"),
        (picture(png(4_000, 4_000)), "its content is no image that is shown"),
        (picture(b""), "its content is no image that is shown"),
        (picture(png(ballast=65_536)), "its content is too long"),
    ],
)
async def test_a_failure_is_remembered_for_ten_minutes(
    world: World, answer: bytes, reason: str
) -> None:
    world.answer = answer
    assert await world.body() is None
    world.answer = picture(WEBP_LOSSY, "image/webp")
    world.now += 10 * MINUTE - 1
    assert await world.body() is None
    assert (world.fetches, world.log.reasons) == (1, [reason])
    world.now += 1
    assert await world.body() == WEBP_LOSSY


async def test_a_logo_of_64_kilobytes_is_the_largest(world: World) -> None:
    ballast = 65_536 - len(PNG)
    world.answer = picture(png(ballast=ballast))
    assert len(await world.body() or b"") == 65_536


async def test_four_megabytes_are_kept_those_that_were_asked_for_last(world: World) -> None:
    world.answer = picture(png(ballast=65_536 - len(PNG)))
    for number in range(64):
        await world.body(f"/{number}")
    assert await world.body("/0") is not None
    assert world.fetches == 64
    await world.body("/64")
    assert await world.body("/0") is not None
    assert world.fetches == 65
    await world.body("/1")
    assert world.fetches == 66


async def test_only_a_few_are_fetched_at_once_and_the_rest_in_turn(world: World) -> None:
    world.held.clear()
    uris = [world.uri(f"/{number}") for number in range(100)]
    assert not any(world.logos.ready(uri) for uri in uris)
    await until(lambda: world.fetches == 8)
    await asyncio.sleep(0.1)
    assert world.fetches == 8
    # More than 64 are not waited for: those are fetched when a page needs them again.
    assert await world.logos.get(uris[99]) is None
    world.held.set()
    await until(lambda: world.fetches == 64)
    await until(lambda: all(world.logos.ready(uri) for uri in uris))
    assert world.fetches == 100


async def test_nobody_waits_for_what_is_given_up_in_the_end(world: World) -> None:
    world.held.clear()
    waiting = asyncio.create_task(world.body())
    await until(lambda: world.fetches == 1)
    await world.logos.close()
    assert await waiting is None
