"""The one HTTP client for what somebody else named: guarded, because strangers choose the URL."""

import asyncio
import contextlib
import functools
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2

from flows.ports import Fetched, FetchError
from idp.outbound import tls
from idp.outbound.targets import Address, Target, may_be_reached, parse

Resolve = Callable[[str], Collection[str]]
"""Gives the addresses of a host, and may block. Raises OSError."""

_CONNECT_SECONDS = 2.0
_TOTAL_SECONDS = 5.0  # from the call to the last byte, waiting for a turn and for the DNS included
_MOST_AT_ONCE = 16
_MOST_ADDRESSES = 3  # so many are tried: one name must not make us knock on a hundred doors
_RESOLVING_THREADS = 8
_USER_AGENT = "idp"
_MAX_AGE = re.compile(r'(?:^|,)\s*max-age="?([0-9]{1,9})"?\s*(?:,|$)', re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|,)\s*no-(?:cache|store)\b", re.IGNORECASE)


def system_addresses(host: str) -> list[str]:
    """Give the addresses of `host` in the order of preference that the system has (RFC 6724)."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class GuardedFetcher:
    """A `Fetcher` that reaches only the Internet, and `private_hosts` by exact names.

    Each name is resolved once, every address of it is judged, and the connection is made to an
    address that was judged, so that a second answer of the DNS changes nothing. Redirects are not
    followed: each would be one more URL to judge, and who registers a URL can register the last
    one. Nothing is sent but the request: no cookies, credentials or referrer, through no proxy.
    """

    def __init__(
        self,
        *,
        development: bool = False,
        ca_file: Path | None = None,
        private_hosts: Collection[str] = (),
        resolve: Resolve = system_addresses,
    ) -> None:
        """In `development` loopback may be reached, by http too."""
        self._development = development
        self._private_hosts = frozenset(private_hosts)
        self._tls = tls.context(ca_file)
        self._turns = asyncio.Semaphore(_MOST_AT_ONCE)
        # In threads of its own, for a name server can be made to answer late: nobody else's, least
        # of all the messenger's, must wait behind it. Those of uvloop resolve two names at a time.
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(_RESOLVING_THREADS, thread_name_prefix="resolver")

    def close(self) -> None:
        """Begin nothing any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fetch(
        self, url: str, *, media_types: Collection[str], at_most: int = 65_536
    ) -> Fetched:
        """Get what `url` names. Raises FetchError."""
        target = parse(url, development=self._development)
        try:
            async with (
                asyncio.timeout(_TOTAL_SECONDS),
                self._turns,
                contextlib.AsyncExitStack() as connections,
                # A transport for each fetch: a connection that is kept could serve another name,
                # for which its certificate was not checked.
                httpx2.AsyncHTTPTransport(verify=self._tls) as transport,
            ):
                addresses = await self._addresses(target)
                request = functools.partial(_request, target, media_types, connections)
                response = await _answer(transport, map(request, addresses[:_MOST_ADDRESSES]))
                async with contextlib.aclosing(response):
                    return await _read(response, media_types, at_most)
        except (TimeoutError, httpx2.TimeoutException):
            raise FetchError("it takes too long") from None
        except httpx2.HTTPError:
            # Its message quotes what was received.
            raise FetchError("its answer is not HTTP") from None

    async def _addresses(self, target: Target) -> list[Address]:
        if target.literal is not None:
            found = [target.literal]
        else:
            loop = asyncio.get_running_loop()
            try:
                names = await loop.run_in_executor(self._threads, self._resolve, target.host)
            except OSError:
                raise FetchError("its host has no address") from None
            found = [ipaddress.ip_address(name) for name in names]
        if not found:
            raise FetchError("its host has no address")
        private = target.host in self._private_hosts
        # All of them: a name with one address inside is at best a mistake.
        if not all(may_be_reached(it, loopback=self._development, private=private) for it in found):
            raise FetchError("its host has an address that is not fetched from")
        return found


def _request(
    target: Target,
    media_types: Collection[str],
    connections: contextlib.AsyncExitStack,
    address: Address,
) -> httpx2.Request:
    async def close_in_the_end(event: str, info: Mapping[str, Any]) -> None:
        # The library forgets a connection when it is cancelled while TLS begins.
        if event == "connection.connect_tcp.complete":
            connections.push_async_callback(info["return_value"].aclose)

    # The address stands in the URL, and the name where it is shown and proven: Host and TLS.
    return httpx2.Request(
        "GET",
        httpx2.URL(
            scheme=target.scheme,
            host=str(address),
            port=target.port,
            raw_path=target.path_and_query.encode("ascii"),
        ),
        headers={
            "Host": target.authority,
            "User-Agent": _USER_AGENT,
            "Accept": ", ".join(media_types),
            "Accept-Encoding": "identity",
            "Connection": "close",
        },
        extensions={
            "sni_hostname": target.host,
            "timeout": {"connect": _CONNECT_SECONDS},
            "trace": close_in_the_end,
        },
    )


async def _answer(
    transport: httpx2.AsyncHTTPTransport, requests: Iterable[httpx2.Request]
) -> httpx2.Response:
    of_tls = False
    for request in requests:
        try:
            return await transport.handle_async_request(request)
        except httpx2.ConnectTimeout:
            of_tls = False
        except httpx2.ConnectError as error:
            of_tls = _is_of_tls(error)
    raise FetchError("TLS with it fails" if of_tls else "it cannot be connected to")


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__context__
    return error is not None


async def _read(response: httpx2.Response, media_types: Collection[str], at_most: int) -> Fetched:
    if response.is_redirect:
        raise FetchError("it redirects")
    if response.status_code != httpx2.codes.OK:
        raise FetchError("its status is not 200")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        raise FetchError("its media type is another one")
    # Nothing was allowed but `identity`, and a short text must not become a long one here.
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise FetchError("its content is encoded")
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > at_most:
            raise FetchError("its content is too long")
    return Fetched(bytes(body), media_type, _max_age(response.headers.get("cache-control", "")))


def _max_age(cache_control: str) -> int | None:
    if _NOT_KEPT.search(cache_control):
        return 0
    match = _MAX_AGE.search(cache_control)
    return None if match is None else int(match[1])
