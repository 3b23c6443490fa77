"""Login journeys: from a checked authorization request to a code, by phone and one-time code.

An interaction belongs to the browser that began it (a secret in a cookie of its own), so its
identifier may stand in URLs. Its session, code and grant are derived from it: a step that arrives
twice has one outcome.
"""

from dataclasses import dataclass

from flows import one_time_code
from flows.authorize import Checked
from flows.clients import Client
from flows.errors import AccessDenied, LoginRequired, PageError, TemporarilyUnavailable
from flows.phones import normalise
from flows.ports import MessengerError
from flows.provider import Provider
from flows.requests import (
    AuthorizationRequest,
    AuthorizationResponse,
    respond,
    respond_error,
)
from keys.hashing import b64url, derive, random_id, random_secret, sha256
from storage import outcomes as o
from storage.errors import Unavailable, Uncertain
from storage.records import KeyedLimit, SignIn

_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Browser:
    """Who is at the other end.

    `secret` proves that this browser began the interaction; `session_secret` is its session's, if
    it has one; `address` is the IP address.
    """

    secret: str
    session_secret: str | None
    address: str

    @property
    def hash(self) -> bytes:
        """What the store knows of the browser's secret."""
        return sha256(self.secret)

    @property
    def sid(self) -> str | None:
        """The identifier of the browser's session, if it has one."""
        return sid_of(self.session_secret) if self.session_secret else None


@dataclass(frozen=True, slots=True)
class Begun:
    """The customer is asked: an interaction waits at its first page, for whoever has `secret`."""

    interaction_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The response to the client; `session_secret` is set when the browser's cookie changes."""

    response: AuthorizationResponse
    session_secret: str | None = None


@dataclass(frozen=True, slots=True)
class CodeAwaited:
    """A code is on its way; go on to the page that asks for it."""


@dataclass(frozen=True, slots=True)
class ProfileAwaited:
    """The phone is proven and new; go on to the page that asks for a name."""


@dataclass(frozen=True, slots=True)
class AccessClosed:
    """The phone is proven and its customer blocked; go on to the page that says so."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The step was refused: `error` names the text, with what the text needs."""

    error: str
    retry_after: int = 0
    tries_left: int = 0


@dataclass(frozen=True, slots=True)
class Journey:
    """What the pages of an interaction show."""

    interaction_id: str
    step: str
    client: Client
    request: AuthorizationRequest
    phone: str | None
    tries_left: int
    resend_after: int


def sid_of(session_secret: str) -> str:
    """The `sid` of a session cookie: 128 bits of its SHA-256, fit to be shown in tokens."""
    return b64url(sha256(session_secret)[:16])


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
    if not ask:
        finished = await _single_sign_on(provider, request, browser, checked.max_age)
        if finished is not None:
            return finished
    if "none" in checked.prompt:
        return Finished(respond_error(request, provider.issuer, LoginRequired()))
    return await _begin(provider, request, browser)


async def _single_sign_on(
    provider: Provider, request: AuthorizationRequest, browser: Browser, max_age: int | None
) -> Finished | None:
    if browser.sid is None:
        return None
    now = provider.clock()
    session = await provider.store.session_read(browser.sid, now=now)
    if isinstance(session, o.Unknown):
        return None
    # OpenID Connect Core 3.1.2.1: max_age=0 asks as prompt=login does.
    if max_age is not None and now - session.auth_time >= max_age:
        return None
    if request.required_sub not in (None, session.sub):
        return None
    grant_id = random_id()
    code = f"{grant_id}.{random_secret()}"
    issued = await provider.store.code_issue(
        sid=session.sid,
        sub=session.sub,
        request=request.to_store(),
        grant_id=grant_id,
        code_hash=sha256(code),
        lifetimes=provider.settings.lifetimes,
        limit=one_time_code.keyed("begin", session.sid, provider.settings.interactions_per_address),
        now=now,
    )
    if isinstance(issued, o.SessionEnded):
        return None
    if isinstance(issued, o.Limited):
        return Finished(no_room(provider, request))
    return Finished(respond(request, provider.issuer, {"code": code}))


async def _begin(
    provider: Provider, request: AuthorizationRequest, browser: Browser
) -> Begun | Finished:
    interaction_id, secret = random_id(), random_secret()
    now = provider.clock()
    started = await provider.store.interaction_start(
        interaction_id,
        browser_hash=sha256(secret),
        request=request.to_store(),
        expires_at=now + provider.settings.lifetimes.interaction,
        limit=beginnings(provider, browser.address),
        now=now,
    )
    if isinstance(started, o.Limited):
        return Finished(no_room(provider, request))
    return Begun(interaction_id, secret)


def no_room(provider: Provider, request: AuthorizationRequest) -> AuthorizationResponse:
    """The response where the rate limit or the store's memory has no room for one more."""
    provider.log.warning("authorization_refused", client_id=request.client_id)
    unavailable = TemporarilyUnavailable("too much is going on, try again later")
    return respond_error(request, provider.issuer, unavailable)


def beginnings(provider: Provider, address: str) -> KeyedLimit:
    """The limit on what anybody can begin: each takes memory for a while."""
    network = one_time_code.network_of(address)
    return one_time_code.keyed("begin", network, provider.settings.interactions_per_address)


async def journey(
    provider: Provider, interaction_id: str, browser: Browser
) -> Journey | Begun | Finished:
    """The state of an interaction, for its pages. Raises PageError where there is none."""
    now = provider.clock()
    found = await provider.store.interaction_read(
        interaction_id, browser_hash=browser.hash, now=now
    )
    if not isinstance(found, o.FoundInteraction):
        return await _elsewhere(provider, found, browser)
    if found.step == "done":
        return await _again(provider, found.request, browser)
    request = await _stored(provider, found.request)
    if found.step == "cancelled":
        return Finished(respond_error(request, provider.issuer, AccessDenied()))
    return Journey(
        interaction_id=interaction_id,
        step=found.step,
        client=await _client(provider, request),
        request=request,
        phone=found.phone,
        tries_left=found.tries_left or 0,
        resend_after=max(0, (found.resend_at or 0) - now),
    )


async def submit_phone(
    provider: Provider, interaction_id: str, phone: str, browser: Browser
) -> CodeAwaited | Rejected | Begun | Finished:
    """The customer gave a phone, or asks for the code once more: send it, if it is time."""
    number = normalise(phone)
    if number is None:
        return Rejected("phone_invalid")
    network = one_time_code.network_of(browser.address)
    source = one_time_code.keyed("send:address", network, provider.settings.otp.sends_per_address)
    challenge = one_time_code.new_challenge(provider, interaction_id, number, source)
    started = await provider.store.interaction_otp_start(
        interaction_id,
        browser_hash=browser.hash,
        challenge=challenge,
        now=provider.clock(),
    )
    if isinstance(started, o.Limited):
        return Rejected("too_many_requests", retry_after=started.retry_after)
    if isinstance(started, o.Refused):
        return Rejected("number_refused")
    if not isinstance(started, o.OtpStarted):
        return await _elsewhere(provider, started, browser)
    if started.send and started.request is not None:
        request = await _stored(provider, started.request)
        client = await _client(provider, request)
        try:
            await one_time_code.send(
                provider,
                client,
                request.locale,
                interaction_id,
                challenge=challenge,
                started=started,
            )
        except MessengerError:
            return Rejected("message_not_sent")
    return CodeAwaited()


async def submit_code(
    provider: Provider, interaction_id: str, code: str, browser: Browser
) -> ProfileAwaited | AccessClosed | Rejected | Begun | Finished:
    """The customer gave a one-time code: count the try, and sign in or ask for a name."""
    digits = "".join(code.split())
    if not one_time_code.is_well_formed(digits):
        return Rejected("code_malformed")
    verified = await provider.store.interaction_otp_verify(
        interaction_id,
        browser_hash=browser.hash,
        otp_hashes=one_time_code.hashes_of(provider, interaction_id, digits),
        attempt=random_id(),
        wrong_tries=provider.settings.otp.wrong_tries_per_phone,
        sign_in=_sign_in(provider, interaction_id, browser),
        now=provider.clock(),
    )
    match verified:
        case o.SignedIn():
            return await _signed_in(provider, interaction_id, verified)
        case o.Unregistered():
            return ProfileAwaited()
        case o.CustomerBlocked():
            return AccessClosed()
        case o.Wrong(tries_left=left):
            return Rejected("code_wrong", tries_left=left)
        case o.Limited(retry_after=seconds):
            return Rejected("too_many_requests", retry_after=seconds)
        case o.Exhausted():
            return Rejected("code_exhausted")
        case o.CodeExpired() | o.Spent():
            return Rejected("code_expired")
        case _:
            return await _elsewhere(provider, verified, browser)


async def submit_profile(
    provider: Provider, interaction_id: str, given_name: str, family_name: str, browser: Browser
) -> AccessClosed | Begun | Finished:
    """First sign-in: the customer gave a name and accepted the terms."""
    registered = await provider.store.customer_register(
        interaction_id,
        browser_hash=browser.hash,
        new_sub=random_id(),
        given_name=given_name,
        family_name=family_name or None,
        sign_in=_sign_in(provider, interaction_id, browser),
        now=provider.clock(),
    )
    if isinstance(registered, o.SignedIn):
        return await _signed_in(provider, interaction_id, registered)
    if isinstance(registered, o.CustomerBlocked):
        return AccessClosed()
    return await _elsewhere(provider, registered, browser)


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
    if isinstance(cancelled, o.Cancelled):
        request = await _stored(provider, cancelled.request)
        return Finished(respond_error(request, provider.issuer, AccessDenied()))
    return await _elsewhere(provider, cancelled, browser)


def _sign_in(provider: Provider, interaction_id: str, browser: Browser) -> SignIn:
    secret = provider.keys.secret("interaction")
    return SignIn(
        new_sid=sid_of(_session_secret(secret, interaction_id)),
        current_sid=browser.sid,
        grant_id=_grant_id(secret, interaction_id),
        code_hash=sha256(_code(secret, interaction_id)),
        acr=one_time_code.ACR,
        amr=one_time_code.AMR,
        lifetimes=provider.settings.lifetimes,
    )


def _session_secret(secret: bytes, interaction_id: str) -> str:
    return b64url(derive(secret, "session", interaction_id))


def _grant_id(secret: bytes, interaction_id: str) -> str:
    return b64url(derive(secret, "grant", interaction_id)[:16])


def _code(secret: bytes, interaction_id: str) -> str:
    chance = b64url(derive(secret, "code", interaction_id))
    return f"{_grant_id(secret, interaction_id)}.{chance}"


async def _signed_in(provider: Provider, interaction_id: str, signed_in: o.SignedIn) -> Finished:
    secret = provider.keys.secret("interaction")
    session_secret = _session_secret(secret, interaction_id)
    request = await _stored(provider, signed_in.request)
    return Finished(
        respond(request, provider.issuer, {"code": _code(secret, interaction_id)}),
        session_secret if signed_in.sid == sid_of(session_secret) else None,
    )


async def _elsewhere(
    provider: Provider,
    outcome: o.Unknown | o.OtherBrowser | o.Expired | o.Completed | o.OtherCustomer,
    browser: Browser,
) -> Begun | Finished:
    """The interaction is not where the step expects it: go where it is, or begin anew."""
    match outcome:
        case o.Completed(request=request):
            return await _again(provider, request, browser)
        case o.Expired(request=request) if request is not None:
            return await _begin(provider, await _stored(provider, request), browser)
        case o.OtherCustomer(request=request):
            # OpenID Connect Core 3.1.2.1: somebody else than `id_token_hint` names is no success.
            stored = await _stored(provider, request)
            return Finished(respond_error(stored, provider.issuer, LoginRequired()))
        case o.OtherBrowser():
            raise PageError("other_browser")
        case _:
            raise PageError("expired_journey")


async def _again(provider: Provider, stored: o.Request, browser: Browser) -> Begun | Finished:
    """The interaction succeeded before (a reload, the back button): answer by single sign-on."""
    request = await _stored(provider, stored)
    finished = await _single_sign_on(provider, request, browser, None)
    return finished or await _begin(provider, request, browser)


async def _stored(provider: Provider, stored: o.Request) -> AuthorizationRequest:
    """A request of some time ago, if its client may still make it. Raises PageError."""
    request = AuthorizationRequest.from_store(stored)
    client = await _client(provider, request)
    if not client.still_allows(request.redirect_uri, request.scope):
        raise PageError("redirect_uri", "the client's registration has changed")
    return request


async def _client(provider: Provider, request: AuthorizationRequest) -> Client:
    client = await provider.clients.get(request.client_id)
    if client is None:
        raise PageError("unknown_client", "the client is not registered any more")
    return client
