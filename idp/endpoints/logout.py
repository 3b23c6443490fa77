"""RP-initiated logout, by GET and by POST, and its confirmation."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from flows.clients import Client
from flows.logout import PARAMETERS, Confirm, SignedOut
from flows.logout import logout as sign_out
from flows.parameters import Parameters
from idp import cookies, csrf, http
from idp.endpoints.journey import brand_of

CONFIRM_PATH = "/logout/confirm"


async def logout(request: Request) -> Response:
    """OpenID Connect RP-Initiated Logout 1.0 2."""
    return await _logout(request, confirmed=False)


async def confirm(request: Request) -> Response:
    """The customer said yes."""
    return await _logout(request, confirmed=True)


async def _logout(request: Request, *, confirmed: bool) -> Response:
    provider = http.site(request).provider
    posted = request.method == "POST"
    parameters = await http.form(request) if posted else http.query(request)
    parameters.refuse_repeated()
    session_secret = cookies.session(request, https=provider.settings.https)
    if posted and not confirmed and session_secret is None:
        # `SameSite=Lax` keeps the cookie from a cross-site POST: the browser comes again by GET.
        known = parameters.only(frozenset(PARAMETERS)).values
        return http.redirect(f"{request.url.path}?{urlencode(known)}")
    expected = csrf.tokens(request, "logout", session_secret or "")
    if confirmed:
        csrf.check(parameters, expected)
    done = await sign_out(provider, parameters, session_secret, confirmed=confirmed)
    if isinstance(done, Confirm):
        return _ask(request, parameters, done, expected[0])
    return _told(request, parameters, done)


def _ask(request: Request, parameters: Parameters, asked: Confirm, token: str) -> Response:
    locale = _locale(request, parameters, asked.client)
    return http.page(
        request,
        "logout.html",
        locale=locale,
        brand=brand_of(request, asked.client, locale) if asked.client else None,
        form_action=_form_action(parameters),
        action=CONFIRM_PATH,
        csrf=token,
        hidden={name: parameters.values[name] for name in PARAMETERS if name in parameters.values},
    )


def _form_action(parameters: Parameters) -> str:
    # Proven by now: the flow refuses an address that is not registered.
    location = parameters.get("post_logout_redirect_uri")
    return http.form_action(location) if location else "'self'"


def _locale(request: Request, parameters: Parameters, client: Client | None) -> str:
    channel = client.channel if client else None
    return http.locale(request, parameters.get("ui_locales"), channel)


def _told(request: Request, parameters: Parameters, done: SignedOut) -> Response:
    locale = _locale(request, parameters, done.client)
    if done.location is not None:
        response = http.redirect(done.location)
    else:
        brand = brand_of(request, done.client, locale) if done.client else None
        response = http.page(request, "signed_out.html", locale=locale, brand=brand)
    https = http.site(request).provider.settings.https
    if cookies.session(request, https=https) is not None:
        # A cross-site POST comes without the cookie, and must not take it away either.
        cookies.clear_session(response, https=https)
    return response
