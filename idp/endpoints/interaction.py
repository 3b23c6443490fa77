"""The pages of a login: phone, code, (the first time) profile, and blocked; one path each."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from flows import journeys, login
from flows.journeys import Begun, ConsentAwaited, Finished, Journey
from flows.login import AccessClosed, CodeAwaited, ProfileAwaited, Rejected
from flows.one_time_code import CALL_DIGITS
from flows.phones import mask
from flows.proof_of_work import ProofWanted
from idp import http
from idp.endpoints.journey import (
    page,
    path_of,
    proceed,
    read,
    submitted,
    with_device,
    with_session,
)

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


async def phone_page(request: Request) -> Response:
    """Ask for the phone."""
    journey = await read(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    if journey.step == "consent":
        return http.redirect(path_of(journey.interaction_id, "consent"))
    return _phone(request, journey, journey.phone or journey.request.login_hint or "")


async def phone_submit(request: Request) -> Response:
    """Take the phone, and send a code."""
    interaction_id, parameters = await submitted(request)
    phone = parameters.get("phone") or ""
    step = await login.submit_phone(
        http.site(request).provider,
        interaction_id,
        phone,
        http.browser(request),
        parameters.get("proof_of_work"),
    )
    if isinstance(step, Rejected | ProofWanted):
        journey = await read(request)
        if not isinstance(journey, Journey):
            return proceed(request, journey, http.locale(request))
        if isinstance(step, ProofWanted):
            return _proof(request, journey, phone, "phone", step)
        return _phone(request, journey, phone, step)
    return _next(request, interaction_id, step)


async def code_page(request: Request) -> Response:
    """Ask for the one-time code."""
    journey = await read(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    if journey.step in ("profile", "consent", "blocked"):
        return http.redirect(path_of(journey.interaction_id, journey.step))
    if journey.step == "phone" or journey.phone is None:
        return http.redirect(path_of(journey.interaction_id, "phone"))
    error, retry_after = _told(request)
    if error is None and journey.delivery == "failed":
        error = "message_not_sent"
    called = journey.delivery == "flash_call"
    length = http.site(request).provider.settings.otp.length
    return page(
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
        code_length=CALL_DIGITS if called else length,
        longest_code=max(CALL_DIGITS, length),
        called=called,
        delivery=journey.delivery,
        delivery_href=path_of(journey.interaction_id, "delivery"),
    )


async def delivery(request: Request) -> Response:
    """How the code reaches the customer now, for the page that waits for it."""
    current = await journeys.delivery(
        http.site(request).provider, request.path_params["interaction_id"], http.browser(request)
    )
    return http.json({"delivery": current})


async def code_submit(request: Request) -> Response:
    """Take the one-time code, and count the try."""
    interaction_id, parameters = await submitted(request)
    step = await login.submit_code(
        http.site(request).provider,
        interaction_id,
        parameters.get("code") or "",
        http.browser(request),
    )
    return _next(request, interaction_id, step)


async def resend(request: Request) -> Response:
    """Send the same code once more."""
    interaction_id, parameters = await submitted(request)
    journey = await read(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    if journey.phone is None:
        return http.redirect(path_of(interaction_id, "phone"))
    step = await login.submit_phone(
        http.site(request).provider,
        interaction_id,
        journey.phone,
        http.browser(request),
        parameters.get("proof_of_work"),
    )
    if isinstance(step, ProofWanted):
        return _proof(request, journey, journey.phone, "resend", step)
    return _next(request, interaction_id, step)


async def profile_page(request: Request) -> Response:
    """The first time: ask for a name, and for acceptance of the terms."""
    journey = await read(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    if journey.step != "profile":
        return http.redirect(path_of(journey.interaction_id, journey.step))
    return _profile(request, journey, "", "", {})


async def profile_submit(request: Request) -> Response:
    """The first time: make the profile, and sign in."""
    interaction_id, parameters = await submitted(request)
    given_name = login.shown_name(parameters.get("given_name"))
    family_name = login.shown_name(parameters.get("family_name"))
    errors = login.profile_errors(
        given_name, family_name, terms_accepted=parameters.get("terms") is not None
    )
    if errors:
        journey = await read(request)
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
    journey = await read(request)
    if not isinstance(journey, Journey):
        return proceed(request, journey, http.locale(request))
    if journey.step != "blocked" or journey.phone is None:
        return http.redirect(path_of(journey.interaction_id, "phone"))
    return page(
        request,
        "blocked.html",
        journey,
        status=403,
        phone_href=path_of(journey.interaction_id, "phone"),
        phone_masked=mask(journey.phone),
    )


async def cancel(request: Request) -> Response:
    """Turn back: the client is told `access_denied`."""
    interaction_id, _ = await submitted(request)
    step = await login.cancel(http.site(request).provider, interaction_id, http.browser(request))
    return proceed(request, step, http.locale(request))


def _next(
    request: Request,
    interaction_id: str,
    step: CodeAwaited
    | ProfileAwaited
    | ConsentAwaited
    | AccessClosed
    | Rejected
    | Begun
    | Finished,
) -> Response:
    match step:
        case CodeAwaited():
            return http.redirect(path_of(interaction_id, "code"))
        case ProfileAwaited(device=device):
            response = http.redirect(path_of(interaction_id, "profile"))
            return with_device(request, response, device)
        case ConsentAwaited(session_secret=secret, device=device):
            response = http.redirect(path_of(interaction_id, "consent"))
            return with_device(request, with_session(request, response, secret), device)
        case AccessClosed():
            return http.redirect(path_of(interaction_id, "blocked"))
        case Rejected(error=error, retry_after=seconds):
            # By way of a redirect, so that a reload asks again instead of trying again.
            told = urlencode({"error": error} | ({"retry_after": seconds} if seconds else {}))
            return http.redirect(f"{path_of(interaction_id, 'code')}?{told}")
        case _:
            response = proceed(request, step, http.locale(request))
            device = step.device if isinstance(step, Finished) else None
            return with_device(request, response, device)


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
    response = page(
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


def _proof(
    request: Request, journey: Journey, phone: str, action: str, wanted: ProofWanted
) -> Response:
    return page(
        request,
        "proof.html",
        journey,
        action=path_of(journey.interaction_id, action),
        phone=phone,
        challenge=wanted.challenge,
        bits=wanted.bits,
    )


def _profile(
    request: Request,
    journey: Journey,
    given_name: str,
    family_name: str,
    errors: dict[str, str],
) -> Response:
    channel, ours = journey.client.channel, journey.client.partner is None
    return page(
        request,
        "profile.html",
        journey,
        status=400 if errors else 200,
        action=path_of(journey.interaction_id, "profile"),
        given_name=given_name,
        family_name=family_name,
        errors=errors,
        # The customer registers with the group, whoever has sent them.
        terms_uri=channel.terms_uri if ours else None,
        privacy_uri=channel.privacy_uri if ours else None,
    )
