"""Partners' logos over HTTP: in our name, of verified partners only, and no page waits for them."""

import asyncio
import contextlib
import functools
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.http.partner import partner
from tests.http.provider import Browser, RelyingParty, Running, new_phone
from tests.idp.pictures import JPEG, WEBP_LOSSY, png
from tests.idp.stranger import Answer, Stranger, said, stranger

PNG = png()
IMAGE = re.compile(r'<img class="brand-logo brand-logo-foreign" src="([^"]+)" alt=""')


@contextlib.asynccontextmanager
async def shop(
    provider: Running,
    answer: bytes | Answer,
    *,
    verified: bool = True,
    russian: str | None = None,
) -> AsyncIterator[tuple[RelyingParty, Stranger]]:
    """A new partner with a logo on a server of its own."""
    async with stranger(answer) as server:
        origin = f"http://127.0.0.1:{server.port}"
        given = {"logo_uri": f"{origin}/logo"}
        if russian is not None:
            given["logo_uri#ru"] = f"{origin}{russian}"
        made: Any = functools.partial(partner, provider, verified=verified, **given)
        yield await asyncio.to_thread(made), server


def picture(body: bytes = PNG, media_type: str = "image/png") -> bytes:
    return said(body, f"Content-Type: {media_type}")


async def get(browser: Browser, path: str) -> httpx2.Response:
    return await asyncio.to_thread(browser.http.get, path)


async def logo(browser: Browser, party: RelyingParty) -> httpx2.Response:
    return await get(browser, f"/clients/{party.client_id}/logo")


def first_page(browser: Browser, party: RelyingParty) -> str:
    browser.authorize(party)
    return browser.get("phone").text


async def shown_logo(browser: Browser, party: RelyingParty) -> str:
    """The path of the logo on the partner's first page, once the worker that makes it has it."""
    async with asyncio.timeout(20):
        while True:
            page = await asyncio.to_thread(first_page, browser, party)
            found = IMAGE.search(page)
            if found:
                return found[1]
            assert 'class="brand-mark"' in page


async def warm(browser: Browser, party: RelyingParty) -> None:
    """Let both workers have it."""
    for _ in range(10):
        await asyncio.gather(*(logo(browser, party) for _ in range(20)))


@pytest.mark.parametrize(
    ("body", "media_type"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP_LOSSY, "image/webp")],
)
async def test_a_logo_comes_from_us_and_can_do_nothing(
    provider: Running, browser: Browser, body: bytes, media_type: str
) -> None:
    async with shop(provider, picture(body, media_type)) as (party, server):
        answer = await logo(browser, party)

        assert (answer.status_code, answer.content) == (200, body)
        assert answer.headers["content-type"] == media_type
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["content-disposition"] == "inline"
        assert answer.headers["cache-control"] == "public, max-age=3600"
        assert "set-cookie" not in answer.headers
        assert "cookie" not in server.requests[0].lower()


async def test_each_worker_fetches_it_once(provider: Running, browser: Browser) -> None:
    async with shop(provider, picture()) as (party, server):
        answers = await asyncio.gather(*(logo(browser, party) for _ in range(40)))
        assert {it.status_code for it in answers} == {200}
        assert 1 <= len(server.requests) <= 2


async def test_every_page_of_a_verified_partner_shows_it(
    provider: Running, browser: Browser
) -> None:
    async with shop(provider, picture()) as (party, _):
        path = await shown_logo(browser, party)
        assert path.startswith(f"/clients/{party.client_id}/logo?")
        assert (await get(browser, path)).content == PNG
        await warm(browser, party)

        def sign_in() -> list[str]:
            pages = [first_page(browser, party)]
            browser.submit("phone", phone=(number := new_phone()))
            pages.append(browser.get("code").text)
            browser.submit("code", code=provider.code_for(number))
            pages.append(browser.get("profile").text)
            browser.submit("profile", given_name="Анна", terms="accepted")
            pages.append(browser.get("consent").text)
            browser.submit("consent")
            pages.append(browser.http.get("/account/partners").text)
            return pages

        for page in await asyncio.to_thread(sign_in):
            assert IMAGE.findall(page) == [path]


async def test_nobody_unverified_shows_a_picture(provider: Running, browser: Browser) -> None:
    async with shop(provider, picture(), verified=False) as (party, server):
        page = await asyncio.to_thread(first_page, browser, party)
        assert (await logo(browser, party)).status_code == 404
        page += await asyncio.to_thread(first_page, browser, party)

    assert "/logo" not in page
    assert page.count('class="brand-mark"') == 2
    assert server.connections == 0


async def test_a_page_does_not_wait_for_a_server_that_never_answers(
    provider: Running, browser: Browser
) -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def never(_: asyncio.StreamWriter) -> None:
        asked.set()
        await over.wait()

    async with shop(provider, never) as (party, server):
        page = await asyncio.to_thread(first_page, browser, party)
        # It is here before the server is given up, which is in the log.
        uri = f"http://127.0.0.1:{server.port}/logo"
        assert uri not in provider.server.output
        assert 'class="brand-mark"' in page
        assert not IMAGE.search(page)
        await asyncio.wait_for(asked.wait(), 10)
        assert (await logo(browser, party)).status_code == 404
        assert 1 <= server.connections <= 2
        assert uri in provider.server.output
        over.set()


@pytest.mark.parametrize(
    "answer",
    [
        said(status="500 Oops"),
        said(b"", "Location: https://elsewhere.example/logo.png", status="302 Found"),
        picture(b'<svg xmlns="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
        picture(b"<script>alert(1)</script>"),
        picture(JPEG),
        picture(png(5_000, 5_000)),
        picture(png(ballast=65_536)),
        b"not HTTP at all\r\n\r\n",
    ],
    ids=["500", "redirect", "svg", "html", "another type", "huge", "too long", "not HTTP"],
)
async def test_a_bad_logo_is_none(provider: Running, browser: Browser, answer: bytes) -> None:
    async with shop(provider, answer) as (party, server):
        for _ in range(5):
            refused = await logo(browser, party)
            page = await asyncio.to_thread(first_page, browser, party)
            assert refused.status_code == 404
            assert refused.headers["cache-control"] == "no-store"
            assert 'class="brand-mark"' in page
            assert not IMAGE.search(page)
        assert len(server.requests) <= 2


async def test_a_logo_is_there_in_the_customers_language(
    provider: Running, browser: Browser
) -> None:
    async def by_path(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)
        russian = server.requests[-1].startswith("GET /russian ")
        writer.write(picture(JPEG, "image/jpeg") if russian else picture())

    async with shop(provider, by_path, russian="/russian") as (party, server):
        path = f"/clients/{party.client_id}/logo"
        assert (await get(browser, f"{path}?locale=ru")).content == JPEG
        assert (await get(browser, f"{path}?locale=en")).content == PNG
        assert (await get(browser, f"{path}?locale=%00&locale=..%2f")).content == PNG


@pytest.mark.parametrize("client_id", ["demo", "demo-native", "nobody", "..", "%2e%2e", "%00"])
async def test_nobody_else_has_one(browser: Browser, client_id: str) -> None:
    assert (await get(browser, f"/clients/{client_id}/logo")).status_code == 404


async def test_a_partner_without_one_has_none(provider: Running, browser: Browser) -> None:
    party = await asyncio.to_thread(partner, provider, verified=True)
    assert (await logo(browser, party)).status_code == 404
    assert "/logo" not in await asyncio.to_thread(first_page, browser, party)
