"""The pages of a login: phone, code, (the first time) profile, and blocked; one path each."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from flows import login
from flows.clients import Client
from flows.login import (
    AccessClosed,
    Begun,
    CodeAwaited,
    Finished,
    Journey,
    ProfileAwaited,
    Rejected,
)
from flows.one_time_code import DIGITS
from flows.parameters import Parameters
from flows.phones import mask
from idp import cookies, csrf, http
from idp.pages import Brand

_CODE_ERRORS = frozenset(
    {
        "code_wrong",
        "code_exhausted",
        "code_expired",
        "code_malformed",
        "message_not_sent",
        "too_many_requests",
    }
)
_MOST_RETRY_AFTER = 86_400


def path_of(interaction_id: str, page: str = "") -> str:
    """The path of an interaction, or of one of its pages."""
    return f"/interaction/{interaction_id}{page and '/'}{page}"


def brand_of(client: Client, locale: str) -> Brand:
    """The brand of a client's channel, in the customer's language."""
    channel = client.channel
    return Brand(
        channel_id=channel.channel_id,
        name=channel.name[locale],
        color=channel.color,
        logo=f"/channels/{channel.channel_id}/logo.svg" if channel.logo else None,
        terms_uri=channel.terms_uri,
        privacy_uri=channel.privacy_uri,
    )


def proceed(request: Request, step: Begun | Finished, locale: str) -> Response:
    """Go where a step leads: to the pages of a new interaction, or back to the client."""
    settings = http.site(request).provider.settings
    if isinstance(step, Begun):
        response = http.redirect(path_of(step.interaction_id, "phone"))
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
    if step.session_secret is not None:
        cookies.set_session(
            response,
            step.session_secret,
            https=settings.https,
            max_age=settings.lifetimes.session_absolute,
        )
    return response


async def phone_page(request: Request) -> Response:
    """Ask for the phone."""
    journey = await _journey(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    return _phone(request, journey, journey.phone or journey.request.login_hint or "")


async def phone_submit(request: Request) -> Response:
    """Take the phone, and send a code."""
    interaction_id, parameters = await _submitted(request)
    phone = parameters.get("phone") or ""
    step = await login.submit_phone(
        http.site(request).provider, interaction_id, phone, http.browser(request)
    )
    if isinstance(step, Rejected):
        journey = await _journey(request)
        if isinstance(journey, Journey):
            return _phone(request, journey, phone, step)
        return proceed(request, journey, http.locale(request))
    return _next(request, interaction_id, step)


async def code_page(request: Request) -> Response:
    """Ask for the one-time code."""
    journey = await _journey(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    if journey.step in ("profile", "blocked"):
        return http.redirect(path_of(journey.interaction_id, journey.step))
    if journey.step == "phone" or journey.phone is None:
        return http.redirect(path_of(journey.interaction_id, "phone"))
    error, retry_after = _told(request)
    return _page(
        request,
        "code.html",
        journey,
        action=path_of(journey.interaction_id, "code"),
        resend_action=path_of(journey.interaction_id, "resend"),
        phone_href=path_of(journey.interaction_id, "phone"),
        phone_masked=mask(journey.phone),
        error=error,
        tries_left=journey.tries_left,
        retry_after=retry_after,
        resend_after=journey.resend_after,
        code_length=DIGITS,
    )


async def code_submit(request: Request) -> Response:
    """Take the one-time code, and count the try."""
    interaction_id, parameters = await _submitted(request)
    step = await login.submit_code(
        http.site(request).provider,
        interaction_id,
        parameters.get("code") or "",
        http.browser(request),
    )
    return _next(request, interaction_id, step)


async def resend(request: Request) -> Response:
    """Send the same code once more."""
    interaction_id, _ = await _submitted(request)
    journey = await _journey(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    if journey.phone is None:
        return http.redirect(path_of(interaction_id, "phone"))
    step = await login.submit_phone(
        http.site(request).provider, interaction_id, journey.phone, http.browser(request)
    )
    return _next(request, interaction_id, step)


async def profile_page(request: Request) -> Response:
    """The first time: ask for a name, and for acceptance of the terms."""
    journey = await _journey(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    if journey.step != "profile":
        return http.redirect(path_of(journey.interaction_id, journey.step))
    return _profile(request, journey, "", "", {})


async def profile_submit(request: Request) -> Response:
    """The first time: make the profile, and sign in."""
    interaction_id, parameters = await _submitted(request)
    given_name = _name(parameters.get("given_name"))
    family_name = _name(parameters.get("family_name"))
    errors = login.profile_errors(
        given_name, family_name, terms_accepted=parameters.get("terms") is not None
    )
    if errors:
        journey = await _journey(request)
        if isinstance(journey, Journey):
            return _profile(request, journey, given_name, family_name, errors)
        return proceed(request, journey, http.locale(request))
    step = await login.submit_profile(
        http.site(request).provider,
        interaction_id,
        given_name,
        family_name,
        http.browser(request),
    )
    return _next(request, interaction_id, step)


async def blocked_page(request: Request) -> Response:
    """Tell a customer whose access is closed so, and show the way back to the client."""
    journey = await _journey(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    if journey.step != "blocked" or journey.phone is None:
        return http.redirect(path_of(journey.interaction_id, "phone"))
    return _page(
        request,
        "blocked.html",
        journey,
        status=403,
        phone_href=path_of(journey.interaction_id, "phone"),
        phone_masked=mask(journey.phone),
    )


async def cancel(request: Request) -> Response:
    """Turn back: the client is told `access_denied`."""
    interaction_id, _ = await _submitted(request)
    step = await login.cancel(http.site(request).provider, interaction_id, http.browser(request))
    return proceed(request, step, http.locale(request))


def _name(text: str | None) -> str:
    # Controls would reverse or hide what stands beside the name wherever it is shown.
    shown = (it for it in text or "" if it.isprintable() or it.isspace())
    return " ".join("".join(shown).split())


async def _journey(request: Request) -> Journey | Begun | Finished:
    return await login.journey(
        http.site(request).provider,
        request.path_params["interaction_id"],
        http.browser(request),
    )


async def _submitted(request: Request) -> tuple[str, Parameters]:
    """A form of ours: the interaction's identifier and the fields. Raises PageError."""
    interaction_id: str = request.path_params["interaction_id"]
    parameters = await http.form(request)
    parameters.refuse_repeated()
    csrf.check(parameters, _csrf(request, interaction_id))
    return interaction_id, parameters


def _csrf(request: Request, interaction_id: str) -> list[str]:
    browser = http.browser(request)
    return csrf.tokens(request, "interaction", interaction_id, browser.secret)


def _next(
    request: Request,
    interaction_id: str,
    step: CodeAwaited | ProfileAwaited | AccessClosed | Rejected | Begun | Finished,
) -> Response:
    match step:
        case CodeAwaited():
            return http.redirect(path_of(interaction_id, "code"))
        case ProfileAwaited():
            return http.redirect(path_of(interaction_id, "profile"))
        case AccessClosed():
            return http.redirect(path_of(interaction_id, "blocked"))
        case Rejected(error=error, retry_after=seconds):
            # By way of a redirect, so that a reload asks again instead of trying again.
            told = urlencode({"error": error} | ({"retry_after": seconds} if seconds else {}))
            return http.redirect(f"{path_of(interaction_id, 'code')}?{told}")
        case _:
            return proceed(request, step, http.locale(request))


def _told(request: Request) -> tuple[str | None, int]:
    error = request.query_params.get("error")
    if error not in _CODE_ERRORS:
        return None, 0
    seconds = request.query_params.get("retry_after", "")
    known = seconds.isascii() and seconds.isdigit() and len(seconds) <= len(str(_MOST_RETRY_AFTER))
    return error, min(int(seconds), _MOST_RETRY_AFTER) if known else 0


def _phone(
    request: Request, journey: Journey, phone: str, rejected: Rejected | None = None
) -> Response:
    limited = rejected is not None and rejected.retry_after > 0
    response = _page(
        request,
        "phone.html",
        journey,
        status=429 if limited else 400 if rejected else 200,
        action=path_of(journey.interaction_id, "phone"),
        phone=phone,
        error=rejected.error if rejected else None,
        retry_after=rejected.retry_after if rejected else 0,
    )
    if rejected is not None and limited:
        response.headers["Retry-After"] = str(rejected.retry_after)
    return response


def _profile(
    request: Request,
    journey: Journey,
    given_name: str,
    family_name: str,
    errors: dict[str, str],
) -> Response:
    channel = journey.client.channel
    return _page(
        request,
        "profile.html",
        journey,
        status=400 if errors else 200,
        action=path_of(journey.interaction_id, "profile"),
        given_name=given_name,
        family_name=family_name,
        errors=errors,
        terms_uri=channel.terms_uri,
        privacy_uri=channel.privacy_uri,
    )


def _page(
    request: Request, template: str, journey: Journey, *, status: int = 200, **context: object
) -> Response:
    locale = journey.request.locale
    return http.page(
        request,
        template,
        locale=locale,
        brand=brand_of(journey.client, locale),
        status=status,
        form_action=http.form_action(journey.request.redirect_uri),
        csrf=_csrf(request, journey.interaction_id)[0],
        cancel_action=path_of(journey.interaction_id, "cancel"),
        **context,
    )
