"""Partners' logos: fetched for the pages, so that no browser tells a partner who signs in."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from flows.clients import Client
from flows.ports import Clock, Fetched, Fetcher, FetchError, Log
from idp.outbound.images import MEDIA_TYPES, is_shown

_LARGEST = 65_536  # bytes
_KEPT_BYTES = 4 * 1024 * 1024
_KEPT_LOGOS = 1_000
_KEPT_SECONDS = 3_600
# Well before it is too old, so that a logo in use does not vanish from the pages for a moment.
_RENEWED_SECONDS = 1_800
_RETRY_SECONDS = 600
_MOST_AT_ONCE = 8  # of the fetcher's 16: clients' keys must not wait behind slow logos
_MOST_WAITING = 64


def logo_uri(client: Client, locale: str) -> str | None:
    """Where the logo of a verified partner is, in the customer's language.

    Of no other: whoever nobody has vouched for could show the group's own.
    """
    if client.partner is None or not client.partner.verified:
        return None
    return client.metadata.in_language("logo_uri", locale)


@dataclass(slots=True)
class _Logo:
    image: Fetched | None = None
    good_until: int = 0
    fetch_at: int = 0  # not before
    fetching: asyncio.Task[None] | None = field(default=None, repr=False)

    def good(self, now: int) -> Fetched | None:
        return self.image if now < self.good_until else None

    @property
    def size(self) -> int:
        return len(self.image.body) if self.image else 0


class Logos:
    """The logos that one process keeps in memory, by their URIs: what was asked for last."""

    def __init__(self, fetcher: Fetcher, clock: Clock, log: Log) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._log = log
        self._logos: OrderedDict[str, _Logo] = OrderedDict()
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End what is being fetched."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def ready(self, uri: str) -> bool:
        """Whether the logo is here, for a page that waits for nobody; if not, it is fetched."""
        logo = self._looked_up(uri)
        return logo.good(self._clock()) is not None

    async def get(self, uri: str) -> Fetched | None:
        """The logo, fetched if it is not here; None if there is none to be shown."""
        logo = self._looked_up(uri)
        if logo.good(self._clock()) is None and logo.fetching is not None:
            # Who else needs it waits for the same fetch, which goes on if one of them gives up.
            await asyncio.wait([logo.fetching])
        return logo.good(self._clock())

    def _looked_up(self, uri: str) -> _Logo:
        logo = self._logos.setdefault(uri, _Logo())
        self._logos.move_to_end(uri)
        now = self._clock()
        if logo.fetching is None and now >= logo.fetch_at and len(self._tasks) < _MOST_WAITING:
            logo.fetch_at = now + _RETRY_SECONDS
            logo.fetching = asyncio.create_task(self._fetch(uri, logo))
            self._tasks.add(logo.fetching)
            logo.fetching.add_done_callback(self._tasks.discard)
        self._forget_the_oldest()
        return logo

    async def _fetch(self, uri: str, logo: _Logo) -> None:
        try:
            image = await self._image(uri)
        except FetchError as error:
            self._log.warning("logo_uri_failed", logo_uri=uri, reason=error.reason)
        else:
            now = self._clock()
            logo.image = image
            logo.good_until = now + _KEPT_SECONDS
            logo.fetch_at = now + _RENEWED_SECONDS
            self._forget_the_oldest()
        finally:
            logo.fetching = None

    async def _image(self, uri: str) -> Fetched:
        async with self._turns:
            fetched = await self._fetcher.fetch(uri, media_types=MEDIA_TYPES, at_most=_LARGEST)
        if not is_shown(fetched.body, fetched.media_type):
            raise FetchError("its content is no image that is shown")
        return fetched

    def _forget_the_oldest(self) -> None:
        size = sum(logo.size for logo in self._logos.values())
        for uri in list(self._surplus(size)):
            del self._logos[uri]

    def _surplus(self, size: int) -> Iterator[str]:
        count = len(self._logos)
        for uri, logo in self._logos.items():
            if count <= _KEPT_LOGOS and size <= _KEPT_BYTES:
                return
            # What is being fetched stays: it would be fetched a second time at once.
            if logo.fetching is None:
                yield uri
                count -= 1
                size -= logo.size
