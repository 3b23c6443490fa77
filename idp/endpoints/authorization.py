"""The authorization endpoint, by GET and by POST."""

from starlette.requests import Request
from starlette.responses import Response

from flows import authorize, journeys, login
from flows.errors import PageError
from flows.parameters import Parameters
from flows.requests import AuthorizationResponse
from idp import http
from idp.endpoints.journey import proceed
from keys.hashing import random_id
from storage.outcomes import Limited, Unknown

CONTINUE_PATH = "/authorize/continue"
_REQUEST_SECONDS = 600


async def authorization(request: Request) -> Response:
    """Answer an authorization request (RFC 6749 3.1)."""
    if request.method == "POST":
        return await _store(request, await http.form(request))
    return await _answer(request, http.query(request))


async def continuation(request: Request) -> Response:
    """Answer a request that came by POST; now the browser's cookies are here."""
    provider = http.site(request).provider
    stored = await provider.store.authorization_request_read(
        request.query_params.get("request_id", ""), now=provider.clock()
    )
    if isinstance(stored, Unknown):
        raise PageError("expired_journey")
    return await _answer(request, Parameters(stored.parameters))


async def _store(request: Request, parameters: Parameters) -> Response:
    provider = http.site(request).provider
    checked = await authorize.check(provider, parameters, _locales(request, parameters))
    if isinstance(checked, AuthorizationResponse):
        return http.deliver(request, checked, http.locale(request))
    # `SameSite=Lax` keeps the session cookie from a cross-site POST: the browser comes again.
    request_id = random_id()
    now = provider.clock()
    stored = await provider.store.authorization_request_store(
        request_id,
        parameters.only(authorize.PARAMETERS).values,
        expires_at=now + _REQUEST_SECONDS,
        limit=journeys.beginnings(provider, http.browser(request).address),
        now=now,
    )
    if isinstance(stored, Limited):
        response = journeys.no_room(provider, checked.request)
        return http.deliver(request, response, checked.request.locale)
    return http.redirect(f"{CONTINUE_PATH}?request_id={request_id}")


async def _answer(request: Request, parameters: Parameters) -> Response:
    provider = http.site(request).provider
    checked = await authorize.check(provider, parameters, _locales(request, parameters))
    if isinstance(checked, AuthorizationResponse):
        return http.deliver(request, checked, http.locale(request))
    entered = await login.enter(provider, checked, http.browser(request))
    return proceed(request, entered, checked.request.locale)


def _locales(request: Request, parameters: Parameters) -> list[str]:
    return http.locales(request, parameters.get("ui_locales"))
