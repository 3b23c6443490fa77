"""What the pages of an interaction share: where they are, their forms, and the way on."""

from dataclasses import replace
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from flows import journeys
from flows.clients import Client
from flows.journeys import Begun, Finished, Journey
from flows.parameters import Parameters
from idp import cookies, csrf, http
from idp.outbound.logos import logo_uri
from idp.pages import Brand


def path_of(interaction_id: str, page: str = "") -> str:
    """The path of an interaction, or of one of its pages."""
    return f"/interaction/{interaction_id}{page and '/'}{page}"


def brand_of(request: Request, client: Client, locale: str) -> Brand:
    """The brand of a client's channel, or of a partner, in the customer's language.

    A partner's logo belongs to it once it has been fetched: the page does not wait.
    """
    brand = Brand.of(client.channel, locale)
    if client.partner is None:
        return brand
    uri = logo_uri(client, locale)
    ready = uri is not None and http.site(request).logos.ready(uri)
    return replace(
        brand,
        logo=f"/clients/{quote(client.client_id, safe='')}/logo?locale={locale}" if ready else None,
        partner="verified" if client.partner.verified else "unverified",
    )


def proceed(request: Request, step: Begun | Finished, locale: str) -> Response:
    """Go where a step leads: to the pages of a new interaction, or back to the client."""
    settings = http.site(request).provider.settings
    if isinstance(step, Begun):
        response = http.redirect(path_of(step.interaction_id, step.page))
        cookies.set_interaction(
            request,
            response,
            step.interaction_id,
            step.secret,
            https=settings.https,
            max_age=settings.lifetimes.interaction,
        )
        return response
    response = http.deliver(request, step.response, locale)
    return with_session(request, response, step.session_secret)


def with_session(request: Request, response: Response, session_secret: str | None) -> Response:
    """The response, with a new session for the browser if there is one."""
    if session_secret is not None:
        settings = http.site(request).provider.settings
        cookies.set_session(
            response,
            session_secret,
            https=settings.https,
            max_age=settings.lifetimes.session_absolute,
        )
    return response


def with_device(request: Request, response: Response, device: str | None) -> Response:
    """The response, with what makes the browser a known one if there is something."""
    if device is not None:
        cookies.set_device(response, device, https=http.site(request).provider.settings.https)
    return response


async def read(request: Request) -> Journey | Begun | Finished:
    """The state of the interaction that a request is about. Raises PageError."""
    return await journeys.read(
        http.site(request).provider,
        request.path_params["interaction_id"],
        http.browser(request),
    )


async def submitted(request: Request) -> tuple[str, Parameters]:
    """A form of ours: the interaction's identifier and the fields. Raises PageError."""
    interaction_id: str = request.path_params["interaction_id"]
    parameters = await http.form(request)
    parameters.refuse_repeated()
    csrf.check(parameters, _csrf(request, interaction_id))
    return interaction_id, parameters


def _csrf(request: Request, interaction_id: str) -> list[str]:
    browser = http.browser(request)
    return csrf.tokens(request, "interaction", interaction_id, browser.secret)


def page(
    request: Request, template: str, journey: Journey, *, status: int = 200, **context: object
) -> Response:
    """A page of an interaction, in its language and with its client's brand."""
    locale = journey.request.locale
    return http.page(
        request,
        template,
        locale=locale,
        brand=brand_of(request, journey.client, locale),
        status=status,
        form_action=http.form_action(journey.request.redirect_uri),
        csrf=_csrf(request, journey.interaction_id)[0],
        cancel_action=path_of(journey.interaction_id, "cancel"),
        **context,
    )
