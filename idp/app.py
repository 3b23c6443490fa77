"""The application, put together: the only place that knows all the concrete parts."""

import contextlib
import functools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import structlog
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from conf.model import Settings
from flows.clients import ClientDirectory
from flows.passwords import PasswordHasher
from flows.ports import MessageProvider
from flows.provider import Provider
from flows.remote_jwks import RemoteKeys
from idp import loops, metrics
from idp.admission import Admission
from idp.http import Site
from idp.logs import GatheredLines
from idp.outbound.dispatcher import Dispatcher, Waker
from idp.outbound.fetcher import GuardedFetcher
from idp.outbound.inbox import Inbox
from idp.outbound.logos import Logos
from idp.outbound.receipts import Receipts
from idp.outbound.smpp import SmppProvider
from idp.pages import Pages
from idp.request_log import RequestLog
from idp.routes import DEVELOPMENT_ENDPOINTS, ENDPOINTS, metadata
from idp.routing import Routing
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import Sealer
from storage.errors import Unavailable, Uncertain
from storage.store import Store

_Answer = TypeVar("_Answer")


def create(sealer: Sealer) -> Starlette:
    """The application of one worker; its settings are in the environment variable IDP_SETTINGS."""
    return build(Settings.from_json(os.environ["IDP_SETTINGS"]), sealer)


def build(settings: Settings, sealer: Sealer) -> Starlette:
    """The application for these settings, with their key-encryption keys."""
    endpoints = ENDPOINTS + (DEVELOPMENT_ENDPOINTS if settings.development else ())
    lines = GatheredLines()
    application = _Application(Admission(RequestLog(Routing(endpoints).answer, settings, lines)))
    application.state.lines = lines
    application.state.settings = settings
    application.state.sealer = sealer
    application.state.endpoints = metadata(endpoints)
    application.state.pages = Pages()
    return application


class _Application(Starlette):
    """Starlette's application without its routes and its handling of exceptions.

    Every endpoint answers its own errors. What escapes all the same is logged by uvicorn, which
    answers with a bare 500.
    """

    def __init__(self, http: ASGIApp) -> None:
        super().__init__(lifespan=_lifespan)
        self._http = http

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await (self._http if scope["type"] == "http" else self.router)(scope, receive, send)


@contextlib.asynccontextmanager
async def _lifespan(application: Starlette) -> AsyncIterator[None]:
    settings: Settings = application.state.settings
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(application.state.lines.write)
        store = await _when_the_store_answers(lambda: Store.open(settings, metrics.store_call))
        stack.push_async_callback(store.close)
        life_cycle = LifeCycle.of(settings, store, application.state.sealer)
        stack.callback(life_cycle.close)
        log = structlog.get_logger("idp")
        fetcher = GuardedFetcher(
            development=settings.development,
            ca_file=settings.ca_file,
            private_hosts=settings.outbound_private_hosts,
        )
        stack.callback(fetcher.close)
        logos = Logos(fetcher, _now, log)
        stack.push_async_callback(logos.close)
        waker = Waker()
        provider = Provider(
            settings=settings,
            store=store,
            keys=await _when_the_store_answers(lambda: KeyRing.open(life_cycle, _now())),
            clients=ClientDirectory(store, settings.lifetimes),
            fetcher=fetcher,
            remote_keys=RemoteKeys(fetcher, _now, log),
            passwords=PasswordHasher(),
            outbox=waker,
            clock=_now,
            log=log,
        )
        application.state.site = Site(provider, application.state.pages, logos)
        await stack.enter_async_context(loops.running(provider))
        senders = _senders(application, provider, stack)
        await stack.enter_async_context(Dispatcher(provider, senders, waker).running())
        yield


def _senders(
    application: Starlette, provider: Provider, stack: contextlib.AsyncExitStack
) -> dict[str, MessageProvider]:
    """The message providers by name."""
    settings = provider.settings
    inbox = Inbox(settings.directory / "inbox.jsonl")
    application.state.inbox = inbox
    receipts = Receipts(provider)
    senders: dict[str, MessageProvider] = {}
    for row in settings.delivery.providers:
        senders[row.id] = inbox
        if row.http is not None:
            # Its HTTP client is a tenth of a worker's memory, and of its start.
            from idp.outbound.gateway import HttpGateway  # noqa: PLC0415

            senders[row.id] = HttpGateway(row, settings.ca_file)
        elif row.smpp is not None:
            take = functools.partial(receipts.take, row.id)
            senders[row.id] = SmppProvider(row.smpp, take, provider.log)
        stack.push_async_callback(senders[row.id].close)
    return senders


async def _when_the_store_answers(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    # A worker that takes a dead one's place may find no node that leads: if it gave up, uvicorn
    # would end the server with all its workers.
    while True:
        try:
            return await ask()
        except (Unavailable, Uncertain) as error:
            structlog.get_logger("idp").warning("store_unavailable", reason=str(error))


def _now() -> int:
    return int(time.time())
