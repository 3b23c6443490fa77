"""The ceiling: what any provider made of these parts must do for a token answer, and nothing else.

One route, one store call that writes, two ES256 signatures, the JSON of the answer.
"""

import contextlib
import os
import time
from collections.abc import AsyncIterator

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from conf.settings import Settings
from keys.hashing import random_id
from keys.life_cycle import LifeCycle
from keys.ring import KeyRing
from keys.sealing import load_sealer
from storage.store import Store


def create() -> Starlette:
    """The application; the settings of the provider beside it are in IDP_SETTINGS."""
    return Starlette(routes=[Route("/", _two_tokens)], lifespan=_lifespan)


@contextlib.asynccontextmanager
async def _lifespan(application: Starlette) -> AsyncIterator[None]:
    settings = Settings.from_json(os.environ["IDP_SETTINGS"])
    store = await Store.open(settings)
    sealer = load_sealer(settings.key_encryption_keys)
    application.state.issuer = settings.issuer
    application.state.store = store
    life_cycle = LifeCycle.of(settings, store, sealer)
    application.state.keys = await KeyRing.open(life_cycle, int(time.time()))
    yield
    await store.close()


async def _two_tokens(request: Request) -> Response:
    state = request.app.state
    now = int(time.time())
    await state.store.ready(now=now)
    # As many bytes as in the tokens of the other measurements.
    claims = {
        "iss": state.issuer,
        "sub": random_id(),
        "aud": state.issuer,
        "client_id": "demo",
        "scope": "openid profile phone",
        "iat": now,
        "exp": now + 300,
        "auth_time": now,
        "acr": "urn:x5id:acr:phone-otp",
        "jti": f"{random_id()}.{random_id()}",
    }
    answer = {
        "access_token": await state.keys.sign(claims, alg="ES256", typ="at+jwt"),
        "id_token": await state.keys.sign(claims, alg="ES256", typ="JWT"),
    }
    return Response(msgspec.json.encode(answer), media_type="application/json")
