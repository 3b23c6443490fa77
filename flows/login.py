"""Login: from a checked authorization request to a code, by phone and one-time code."""

from dataclasses import dataclass, replace

from flows import journeys, one_time_code, proof_of_work, sending_limits
from flows.authorize import Checked
from flows.errors import ConsentRequired, LoginRequired, TemporarilyUnavailable
from flows.journeys import Begun, Browser, ConsentAwaited, Finished
from flows.phones import normalise
from flows.proof_of_work import ProofWanted
from flows.provider import Provider
from flows.requests import respond_error
from flows.sending_limits import Asker
from keys.hashing import random_id
from storage import outcomes as o
from storage.errors import Unavailable, Uncertain

_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class CodeAwaited:
    """A code is on its way; go on to the page that asks for it."""


@dataclass(frozen=True, slots=True)
class ProfileAwaited:
    """The phone is proven and new; go on to the page that asks for a name.

    `device` is what the browser shows from now on to be known.
    """

    device: str | None = None


@dataclass(frozen=True, slots=True)
class AccessClosed:
    """The phone is proven and its customer blocked; go on to the page that says so."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The step was refused: `error` names the text, with what the text needs."""

    error: str
    retry_after: int = 0
    tries_left: int = 0


async def enter(provider: Provider, checked: Checked, browser: Browser) -> Begun | Finished:
    """Answer a checked request at once where single sign-on allows it, or begin to ask.

    The client hears of a store that does not answer: its redirect URI is proven by now.
    """
    try:
        return await _enter(provider, checked, browser)
    except (Unavailable, Uncertain) as error:
        provider.log.warning("authorization_unavailable", reason=str(error))
        unavailable = TemporarilyUnavailable("try again in a moment")
        return Finished(respond_error(checked.request, provider.issuer, unavailable))


async def _enter(provider: Provider, checked: Checked, browser: Browser) -> Begun | Finished:
    request = checked.request
    ask = checked.prompt & {"login", "create", "select_account"}
    missing = None
    if not ask:
        answered = await journeys.single_sign_on(provider, request, browser, checked.max_age)
        if isinstance(answered, Finished):
            return answered
        missing = answered
    if "none" in checked.prompt:
        error = ConsentRequired() if missing else LoginRequired()
        return Finished(respond_error(request, provider.issuer, error))
    return await journeys.begin(provider, request, browser, missing)


async def submit_phone(
    provider: Provider,
    interaction_id: str,
    phone: str,
    browser: Browser,
    proof: str | None = None,
) -> CodeAwaited | ProofWanted | ConsentAwaited | Rejected | Begun | Finished:
    """The customer gave a phone, or asks for the code once more: queue it, if it is time.

    `proof` is the proof of work of the customer's browser, if it was asked for one.
    """
    number = normalise(phone)
    if number is None:
        return Rejected("phone_invalid")
    if not one_time_code.can_reach(provider, number):
        return Rejected("number_refused")
    asker = Asker(address=browser.address, device=browser.device, proof=proof)
    challenge = one_time_code.new_challenge(provider, interaction_id, number, asker)
    started = await provider.store.interaction_otp_start(
        interaction_id,
        browser_hash=browser.hash,
        challenge=challenge,
        now=provider.clock(),
    )
    if isinstance(started, o.Limited):
        return Rejected("too_many_requests", retry_after=started.retry_after)
    if isinstance(started, o.ProofWanted):
        return proof_of_work.wanted(provider, interaction_id, number)
    if isinstance(started, o.Refused):
        return Rejected("number_refused")
    if isinstance(started, o.ConsentAwaited):
        return journeys.consent_awaited(provider, interaction_id, started)
    if not isinstance(started, o.OtpStarted):
        return await journeys.elsewhere(provider, started, browser)
    sending_limits.tell(provider.log, *started.alarms)
    provider.outbox.wake()
    if started.request is not None:
        await journeys.stored(provider, started.request)  # or nobody is sent any further
    return CodeAwaited()


async def submit_code(
    provider: Provider, interaction_id: str, code: str, browser: Browser
) -> ProfileAwaited | ConsentAwaited | AccessClosed | Rejected | Begun | Finished:
    """The customer gave a one-time code: count the try, and sign in or ask for a name."""
    digits = "".join(code.split())
    if not one_time_code.is_well_formed(provider, digits):
        return Rejected("code_malformed")
    verified = await provider.store.interaction_otp_verify(
        interaction_id,
        browser_hash=browser.hash,
        otp_hashes=one_time_code.hashes_of(provider, interaction_id, digits),
        attempt=random_id(),
        wrong_tries=provider.settings.otp.wrong_tries_per_phone,
        sign_in=journeys.sign_in(provider, interaction_id, browser),
        now=provider.clock(),
        call=one_time_code.is_call(provider, digits),
    )
    match verified:
        case o.SignedIn():
            finished = await journeys.signed_in(provider, interaction_id, verified)
            return replace(finished, device=sending_limits.new_device(provider, verified.phone))
        case o.ConsentAwaited():
            awaited = journeys.consent_awaited(provider, interaction_id, verified)
            return replace(awaited, device=sending_limits.new_device(provider, verified.phone))
        case o.Unregistered():
            return ProfileAwaited(sending_limits.new_device(provider, verified.phone))
        case o.CustomerBlocked():
            return AccessClosed()
        case o.Malformed() | o.Wrong() | o.Limited() | o.Exhausted() | o.CodeExpired() | o.Spent():
            return _code_rejected(verified)
        case _:
            return await journeys.elsewhere(provider, verified, browser)


def _code_rejected(
    refusal: o.Malformed | o.Wrong | o.Limited | o.Exhausted | o.CodeExpired | o.Spent,
) -> Rejected:
    match refusal:
        case o.Malformed():
            return Rejected("code_malformed")
        case o.Wrong(tries_left=left):
            return Rejected("code_wrong", tries_left=left)
        case o.Limited(retry_after=seconds):
            return Rejected("too_many_requests", retry_after=seconds)
        case o.Exhausted():
            return Rejected("code_exhausted")
        case _:
            return Rejected("code_expired")


async def submit_profile(
    provider: Provider, interaction_id: str, given_name: str, family_name: str, browser: Browser
) -> ConsentAwaited | AccessClosed | Begun | Finished:
    """First sign-in: the customer gave a name and accepted the terms."""
    registered = await provider.store.customer_register(
        interaction_id,
        browser_hash=browser.hash,
        new_sub=random_id(),
        given_name=given_name,
        family_name=family_name or None,
        sign_in=journeys.sign_in(provider, interaction_id, browser),
        now=provider.clock(),
    )
    if isinstance(registered, o.SignedIn):
        return await journeys.signed_in(provider, interaction_id, registered)
    if isinstance(registered, o.ConsentAwaited):
        return journeys.consent_awaited(provider, interaction_id, registered)
    if isinstance(registered, o.CustomerBlocked):
        return AccessClosed()
    return await journeys.elsewhere(provider, registered, browser)


def shown_name(text: str | None) -> str:
    """A name in one line without controls, which would reverse or hide what stands beside it."""
    shown = (it for it in text or "" if it.isprintable() or it.isspace())
    return " ".join("".join(shown).split())


def profile_errors(given_name: str, family_name: str, *, terms_accepted: bool) -> dict[str, str]:
    """What is wrong with a profile form, by field."""
    errors = {}
    if not given_name:
        errors["given_name"] = "required"
    elif len(given_name) > _NAME_LENGTH:
        errors["given_name"] = "too_long"
    if len(family_name) > _NAME_LENGTH:
        errors["family_name"] = "too_long"
    if not terms_accepted:
        errors["terms"] = "required"
    return errors


async def cancel(provider: Provider, interaction_id: str, browser: Browser) -> Begun | Finished:
    """The customer turned back: `access_denied`."""
    cancelled = await provider.store.interaction_cancel(
        interaction_id, browser_hash=browser.hash, now=provider.clock()
    )
    return await journeys.elsewhere(provider, cancelled, browser)
