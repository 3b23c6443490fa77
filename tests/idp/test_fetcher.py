"""The client for what somebody else named, against servers that mean it harm."""

import asyncio
import gzip
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows.ports import Fetched, FetchError
from idp.outbound import fetcher as module
from idp.outbound.fetcher import GuardedFetcher, Resolve, system_addresses
from idp.outbound.targets import parse
from tests.http.provider import create_certificate
from tests.idp.stranger import Stranger, said, stranger
from tests.process.server import free_ports

NAME = "jwks.rp.example"
JSON = ("application/json",)
NOT_FETCHED_FROM = "its host has an address that is not fetched from"

Make = Callable[..., GuardedFetcher]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for NAME and one more, and its key."""
    return create_certificate(tmp_path_factory.mktemp("tls"), NAME, "xn--e1afmkfd.example")


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """What a server of NAME speaks TLS with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def make(certificate: tuple[Path, Path]) -> Iterator[Make]:
    """Makes fetchers of development mode, for which every name is on this machine."""
    made = []

    def make(
        *addresses: str,
        development: bool = True,
        trusting: bool = True,
        private_hosts: tuple[str, ...] = (),
        resolve: Resolve | None = None,
    ) -> GuardedFetcher:
        fetcher = GuardedFetcher(
            development=development,
            ca_file=certificate[0] if trusting else None,
            private_hosts=private_hosts,
            resolve=resolve or (lambda _host: addresses or ("127.0.0.1",)),
        )
        made.append(fetcher)
        return fetcher

    yield make
    for fetcher in made:
        fetcher.close()


async def failure(fetcher: GuardedFetcher, url: str, at_most: int = 65_536) -> str:
    with pytest.raises(FetchError) as caught:
        await fetcher.fetch(url, media_types=JSON, at_most=at_most)
    # Neither of the exceptions behind it, which quote the other side, comes into a log with it.
    assert "".join(traceback.format_exception(caught.value)).count("Traceback") == 1
    return caught.value.reason


async def failure_of(fetcher: GuardedFetcher, answer: bytes, at_most: int = 65_536) -> str:
    async with stranger(answer) as server:
        return await failure(fetcher, f"http://localhost:{server.port}/jwks", at_most)


async def fetched(fetcher: GuardedFetcher, answer: bytes, at_most: int = 65_536) -> Fetched:
    async with stranger(answer) as server:
        url = f"http://localhost:{server.port}/jwks"
        return await fetcher.fetch(url, media_types=JSON, at_most=at_most)


def lines_of(server: Stranger) -> list[str]:
    (request,) = server.requests
    return request.splitlines()


async def test_it_gets_what_a_url_names(make: Make, tls: ssl.SSLContext) -> None:
    shown: list[str | None] = []
    tls.sni_callback = lambda _socket, name, _context: shown.append(name)
    async with stranger(said(b'{"keys":[]}'), tls=tls) as server:
        url = f"https://{NAME.upper()}:{server.port}/jwks?a=%20b"
        got = await make().fetch(url, media_types=("application/jwk-set+json", *JSON))

    assert got == Fetched(b'{"keys":[]}', "application/json", None)
    assert shown == [NAME]
    # And nothing besides: no cookie, no credentials.
    assert lines_of(server) == [
        "GET /jwks?a=%20b HTTP/1.1",
        f"Host: {NAME}:{server.port}",
        "User-Agent: idp",
        "Accept: application/jwk-set+json, application/json",
        "Accept-Encoding: identity",
        "Connection: close",
        "",
    ]


async def test_an_internationalised_name_is_there_in_its_a_labels(
    make: Make, tls: ssl.SSLContext
) -> None:
    async with stranger(said(), tls=tls) as server:
        url = f"https://xn--e1afmkfd.example:{server.port}/"
        assert (await make().fetch(url, media_types=JSON)).body == b"{}"


async def test_a_fetch_leaves_nothing_to_the_next_one(make: Make) -> None:
    fetcher = make()
    async with stranger(said(b"{}", "Set-Cookie: a=b", "Connection: keep-alive")) as server:
        url = f"http://localhost:{server.port}/"
        for _ in range(2):
            await fetcher.fetch(url, media_types=JSON)

    assert server.connections == 2
    assert server.requests[0] == server.requests[1]


async def test_proxies_of_the_environment_are_not_used(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stranger(said(status="500 Proxy")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert (await fetched(make(), said())).body == b"{}"

    assert proxy.connections == 0


# Which address


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "fe80::1%lo"]
)
async def test_a_name_with_an_address_inside_is_refused(make: Make, address: str) -> None:
    for answer in ((address,), ("93.184.216.34", address), (address, "93.184.216.34")):
        fetcher = make(*answer, development=False)
        assert await failure(fetcher, f"https://{NAME}/") == NOT_FETCHED_FROM


async def test_in_production_this_machine_is_not_connected_to(
    make: Make, tls: ssl.SSLContext
) -> None:
    async with stranger(said(), tls=tls) as server:
        for options in ({}, {"private_hosts": (NAME, "localhost")}, {"resolve": system_addresses}):
            fetcher = make(development=False, **options)
            for host in (NAME, "localhost", "127.0.0.1", "[::1]"):
                await failure(fetcher, f"https://{host}:{server.port}/")

    assert server.connections == 0


async def test_only_the_named_hosts_may_have_private_addresses(make: Make) -> None:
    fetcher = make("10.0.0.1", "fd00::1", development=False, private_hosts=(NAME,))

    found = await fetcher._addresses(parse(f"https://{NAME.upper()}/", development=False))
    assert [str(it) for it in found] == ["10.0.0.1", "fd00::1"]
    for host in (f"a.{NAME}", "rp.example", "x.example"):
        assert await failure(fetcher, f"https://{host}/") == NOT_FETCHED_FROM


async def test_a_name_is_resolved_once_so_that_it_cannot_be_rebound(
    make: Make, tls: ssl.SSLContext
) -> None:
    answers = iter([("127.0.0.1",), ("127.0.0.2",), ("127.0.0.2",)])
    asked: list[str] = []

    def rebinding(host: str) -> tuple[str, ...]:
        asked.append(host)
        return next(answers)

    (port,) = free_ports(1)
    async with (
        stranger(said(b'"judged"'), port=port, tls=tls),
        stranger(said(b'"rebound"'), host="127.0.0.2", port=port, tls=tls) as trap,
    ):
        url = f"https://{NAME}:{port}/"
        got = await make(resolve=rebinding).fetch(url, media_types=JSON)

    assert got.body == b'"judged"'
    assert asked == [NAME]
    assert trap.connections == 0


async def test_another_address_is_tried_when_one_is_down(make: Make, tls: ssl.SSLContext) -> None:
    async with stranger(said(), tls=tls) as server:
        url = f"https://{NAME}:{server.port}/"
        for addresses in (("127.0.0.9", "127.0.0.1"), ("::1", "127.0.0.9", "127.0.0.1")):
            assert (await make(*addresses).fetch(url, media_types=JSON)).body == b"{}"
        many = make(*(f"127.0.0.{number}" for number in range(2, 9)), "127.0.0.1")
        assert await failure(many, url) == "it cannot be connected to"

    assert server.connections == 2


async def test_ipv6_is_spoken(make: Make, tls: ssl.SSLContext) -> None:
    async with stranger(said(), host="::1", tls=tls) as server:
        url = f"https://{NAME}:{server.port}/"
        assert (await make("::1").fetch(url, media_types=JSON)).body == b"{}"
    async with stranger(said(), host="::1") as server:
        url = f"http://[::1]:{server.port}/"
        assert (await make().fetch(url, media_types=JSON)).body == b"{}"
    assert lines_of(server)[1] == f"Host: [::1]:{server.port}"


async def test_a_name_without_an_address_is_told_apart(make: Make) -> None:
    fetcher = make(resolve=system_addresses)
    assert await failure(fetcher, "https://nobody.invalid/") == "its host has no address"
    fetcher = make(resolve=lambda _host: [])
    assert await failure(fetcher, f"https://{NAME}/") == "its host has no address"


async def test_a_url_that_is_not_fetched_is_not_even_resolved(make: Make) -> None:
    asked: list[str] = []

    def resolve(host: str) -> list[str]:
        asked.append(host)
        return []

    fetcher = make(development=False, resolve=resolve)
    for url in (f"http://{NAME}/", f"https://{NAME}:22/", f"https://u@{NAME}/", "https://127.1/"):
        assert await failure(fetcher, url) == "the URL is not one that is fetched"
    assert asked == []


# TLS


async def test_a_certificate_for_another_name_is_refused(make: Make, tls: ssl.SSLContext) -> None:
    async with stranger(said(), tls=tls) as server:
        for host in ("other.example", "localhost", f"a.{NAME}"):
            url = f"https://{host}:{server.port}/"
            assert await failure(make(), url) == "TLS with it fails"

    assert server.requests == []


async def test_a_certificate_of_an_unknown_authority_is_refused(
    make: Make, tls: ssl.SSLContext
) -> None:
    async with stranger(said(), tls=tls) as server:
        url = f"https://{NAME}:{server.port}/"
        assert await failure(make(trusting=False), url) == "TLS with it fails"

    assert server.requests == []


async def test_a_server_without_tls_is_refused(make: Make) -> None:
    def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
        assert await failure(make(), url) == "TLS with it fails"


async def test_a_server_that_is_down_is_told_apart(make: Make) -> None:
    (port,) = free_ports(1)
    assert await failure(make(), f"https://{NAME}:{port}/") == "it cannot be connected to"


# What is answered


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(make: Make, status: int) -> None:
    async with stranger(said()) as trap:
        location = f"Location: http://127.0.0.1:{trap.port}/"
        assert await failure_of(make(), said(b"", location, status=f"{status} X")) == "it redirects"

    assert trap.connections == 0


@pytest.mark.parametrize("status", [201, 202, 203, 206, 400, 401, 404, 410, 500, 503, 999])
async def test_no_other_status_is_taken(make: Make, status: int) -> None:
    assert await failure_of(make(), said(status=f"{status} X")) == "its status is not 200"


@pytest.mark.parametrize(
    "value", ["text/html", "application/jsonp", "text/json, application/json", "", "json", ";"]
)
async def test_no_other_media_type_is_taken(make: Make, value: str) -> None:
    answer = said(b"{}", f"Content-Type: {value}")
    assert await failure_of(make(), answer) == "its media type is another one"


@pytest.mark.parametrize("value", ["Application/JSON", "application/json ; charset=UTF-8"])
async def test_a_media_type_may_be_written_in_its_ways(make: Make, value: str) -> None:
    got = await fetched(make(), said(b"{}", f"Content-Type: {value}"))
    assert got.media_type == "application/json"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "x"])
async def test_encoded_content_is_refused(make: Make, encoding: str) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    answer = said(bomb, f"Content-Encoding: {encoding}")
    assert await failure_of(make(), answer) == "its content is encoded"


async def test_an_encoding_of_the_transfer_is_refused(make: Make) -> None:
    answer = said(gzip.compress(b"{}"), "Transfer-Encoding: gzip, chunked")
    assert await failure_of(make(), answer) == "its answer is not HTTP"


async def test_content_that_says_that_it_is_not_encoded_is_taken(make: Make) -> None:
    assert (await fetched(make(), said(b"{}", "Content-Encoding: Identity"))).body == b"{}"


@pytest.mark.parametrize(
    "framing", ["Content-Length: 100", "Transfer-Encoding: chunked", "Connection: close"]
)
async def test_content_has_a_limit(make: Make, framing: str) -> None:
    body = b"x" * 100
    sent = b"64\r\n" + body + b"\r\n0\r\n\r\n" if "chunked" in framing else body
    answer = said(sent, framing)
    assert (await fetched(make(), answer, at_most=100)).body == body
    assert await failure_of(make(), answer, at_most=99) == "its content is too long"


async def test_content_without_an_end_is_not_read_to_it(make: Make) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(said(b"", "Transfer-Encoding: chunked"))
        while True:
            writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
            await writer.drain()

    async with stranger(endless) as server:
        url = f"http://localhost:{server.port}/"
        assert await failure(make(), url) == "its content is too long"


async def test_a_lying_content_length_gains_nothing(make: Make) -> None:
    assert await failure_of(make(), said(b"{}", "Content-Length: 50")) == "its answer is not HTTP"
    assert await failure_of(make(), said(b"{}", "Content-Length: -1")) == "its answer is not HTTP"
    twice = said(b"{}", "Content-Length: 2", "Content-Length: 3")
    assert await failure_of(make(), twice) == "its answer is not HTTP"
    got = await fetched(make(), said(b"{}" + b"x" * 100_000, "Content-Length: 2"), at_most=2)
    assert got.body == b"{}"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nsecret<bad\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 50_000 + b"\r\n",
        said(b"zz\r\n", "Transfer-Encoding: chunked"),
    ],
    ids=["nothing", "ssh", "bad header", "half a head", "long header", "many headers", "chunk"],
)
async def test_what_is_not_http_is_refused(make: Make, answer: bytes) -> None:
    assert await failure_of(make(), answer) == "its answer is not HTTP"


@pytest.mark.parametrize(
    ("cache_control", "max_age"),
    [
        ("max-age=60", 60),
        ("public, MAX-AGE=3600, must-revalidate", 3600),
        ('max-age="60"', 60),
        ("no-store", 0),
        ("max-age=60, no-cache", 0),
        ("s-maxage=60", None),
        ("max-age=-1", None),
        ("max-age=1e9", None),
        ("max-age=99999999999", None),
        ("private", None),
        ("", None),
    ],
)
async def test_it_tells_how_long_the_content_may_be_kept(
    make: Make, cache_control: str, max_age: int | None
) -> None:
    got = await fetched(make(), said(b"{}", f"Cache-Control: {cache_control}"))
    assert got.max_age == max_age


# Time, and how much at once


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the time for a fetch short, so that the tests are."""
    monkeypatch.setattr(module, "_TOTAL_SECONDS", 0.3)


async def drip(writer: asyncio.StreamWriter, start: bytes, more: bytes) -> None:
    writer.write(start)
    while True:
        writer.write(more)
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X: x\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (said(b"", "Content-Length: 10000"), b"x"),
        (said(b"", "Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
    ],
    ids=["silence", "a header", "headers", "100 Continue", "content", "chunks"],
)
async def test_a_slow_server_is_not_waited_for(make: Make, start: bytes, more: bytes) -> None:
    async with stranger(lambda writer: drip(writer, start, more)) as server:
        url = f"http://localhost:{server.port}/"
        assert await failure(make(), url) == "it takes too long"


@pytest.mark.parametrize(
    ("limit", "said_of_it"),
    [
        ("_CONNECT_SECONDS", "it cannot be connected to"),
        ("_TOTAL_SECONDS", "it takes too long"),
    ],
)
async def test_a_server_that_does_not_begin_tls_is_not_waited_for(
    make: Make, monkeypatch: pytest.MonkeyPatch, limit: str, said_of_it: str
) -> None:
    monkeypatch.setattr(module, limit, 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it does not even accept
        url = f"https://{NAME}:{server.getsockname()[1]}/"
        assert await failure(make(), url) == said_of_it


@pytest.mark.usefixtures("hurried")
async def test_slow_name_servers_are_not_waited_for(make: Make) -> None:
    answered = threading.Event()

    def late(_host: str) -> list[str]:
        answered.wait()
        return ["127.0.0.1"]

    try:
        assert await failure(make(resolve=late), f"https://{NAME}/") == "it takes too long"
    finally:
        answered.set()


async def test_only_so_many_fetches_go_on_at_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_AT_ONCE", 2)
    both, go_on = asyncio.Barrier(3), asyncio.Event()
    at_once: list[int] = []
    under_way = 0

    async def count(writer: asyncio.StreamWriter) -> None:
        nonlocal under_way
        under_way += 1
        at_once.append(under_way)
        if not go_on.is_set():
            await both.wait()
            await go_on.wait()
        under_way -= 1
        writer.write(said())

    fetcher = make()
    async with stranger(count) as server:
        url = f"http://localhost:{server.port}/"
        fetches = [asyncio.create_task(fetcher.fetch(url, media_types=JSON)) for _ in range(6)]
        await both.wait()
        go_on.set()
        assert {it.body for it in await asyncio.gather(*fetches)} == {b"{}"}

    assert len(at_once) == 6
    assert max(at_once) == 2
