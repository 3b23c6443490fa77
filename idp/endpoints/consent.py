"""The page that asks what a partner may have, and the one where the customer takes it back."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from flows import consent
from flows.journeys import Journey
from flows.phones import mask
from idp import cookies, csrf, http
from idp.endpoints.journey import brand_of, page, path_of, proceed, read, submitted
from idp.pages import Partner

PARTNERS_PATH = "/account/partners"
WITHDRAW_PATH = f"{PARTNERS_PATH}/withdraw"
_ALLOW = "allow_"  # a field for each scope, because a repeated one is refused


async def consent_page(request: Request) -> Response:
    """Ask what the partner may have."""
    journey = await read(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    asked = journey.request.consent
    if journey.step != "consent" or journey.phone is None or asked is None:
        return http.redirect(path_of(journey.interaction_id, "phone"))
    return page(
        request,
        "consent.html",
        journey,
        action=path_of(journey.interaction_id, "consent"),
        phone_masked=mask(journey.phone),
        scopes=[
            (name, f"{_ALLOW}{name}", name not in journey.declined)
            for name in consent.optional(asked.scope)
        ],
        partners_href=PARTNERS_PATH,
        site=_site(journey.request.redirect_uri),
    )


async def consent_submit(request: Request) -> Response:
    """Take what the customer allows."""
    interaction_id, parameters = await submitted(request)
    ticked = frozenset(
        name.removeprefix(_ALLOW) for name in parameters.values if name.startswith(_ALLOW)
    )
    step = await consent.decide(
        http.site(request).provider, interaction_id, ticked, http.browser(request)
    )
    return proceed(request, step, http.locale(request))


async def partners_page(request: Request) -> Response:
    """Show a customer what they allow, and to whom."""
    locale = http.locale(request)
    allowed = await consent.allowed(http.site(request).provider, _session(request))
    return http.page(
        request,
        "partners.html",
        locale=locale,
        brand=None,
        status=403 if allowed is None else 200,
        action=WITHDRAW_PATH,
        csrf=_tokens(request)[0],
        partners=None if allowed is None else [_partner(request, it, locale) for it in allowed],
        withdrawn="withdrawn" in request.query_params,
    )


async def withdraw(request: Request) -> Response:
    """Take back what a partner was allowed."""
    parameters = await http.form(request)
    parameters.refuse_repeated()
    csrf.check(parameters, _tokens(request))
    await consent.withdraw(
        http.site(request).provider,
        _session(request),
        parameters.require("client_id"),
        parameters.require("consent_id"),
    )
    return http.redirect(f"{PARTNERS_PATH}?withdrawn")


def _session(request: Request) -> str | None:
    return cookies.session(request, https=http.site(request).provider.settings.https)


def _tokens(request: Request) -> list[str]:
    return csrf.tokens(request, "partners", _session(request) or "")


def _partner(request: Request, allowed: consent.Allowed, locale: str) -> Partner:
    kept = allowed.consent
    return Partner(
        client_id=kept.client_id,
        consent_id=kept.consent_id,
        brand=brand_of(request, allowed.client, locale) if allowed.client else None,
        scopes=allowed.scopes,
        since=kept.granted_at,
    )


def _site(redirect_uri: str) -> str | None:
    """The host that the customer goes back to; an app has none."""
    parts = urlsplit(redirect_uri)
    return parts.hostname if parts.scheme in ("http", "https") else None
