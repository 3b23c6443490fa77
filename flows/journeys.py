"""Journeys: what every step of a login shares, from a checked request to its response.

An interaction belongs to the browser that began it (a secret in a cookie of its own), so its
identifier may stand in URLs. Its session, code and grant are derived from it: a step that arrives
twice has one outcome.
"""

from dataclasses import dataclass
from typing import Literal

from flows import one_time_code, sending_limits
from flows.clients import Client
from flows.errors import AccessDenied, LoginRequired, PageError, TemporarilyUnavailable
from flows.provider import Provider
from flows.requests import (
    AuthorizationRequest,
    AuthorizationResponse,
    respond,
    respond_error,
)
from keys.hashing import b64url, derive, random_id, random_secret, sha256
from storage import outcomes as o
from storage.records import KeyedLimit, SignIn


@dataclass(frozen=True, slots=True)
class Browser:
    """Who is at the other end.

    `secret` proves that this browser began the interaction; `session_secret` is its session's, if
    it has one; `address` is the IP address. `device` shows that it has signed in with a phone.
    """

    secret: str
    session_secret: str | None
    address: str
    device: str | None = None

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
    """The customer is asked: an interaction waits at a page, for whoever has `secret`."""

    interaction_id: str
    secret: str
    page: Literal["phone", "consent"] = "phone"


@dataclass(frozen=True, slots=True)
class Finished:
    """The response to the client; `session_secret` is set when the browser's cookie changes.

    So is `device`, what the browser shows from now on to be known.
    """

    response: AuthorizationResponse
    session_secret: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class ConsentAwaited:
    """The customer has signed in; go on to the page that asks what the partner may have.

    `session_secret` and `device` are set when the browser's cookies change.
    """

    session_secret: str | None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class ConsentMissing:
    """The customer of the browser's session has to be asked first what a partner may have."""

    sid: str


@dataclass(frozen=True, slots=True)
class Journey:
    """What the pages of an interaction show; `declined` are scopes that were declined before.

    `delivery` is how the code reaches the customer (flows.ports.Kind), `failed` where it cannot.
    """

    interaction_id: str
    step: str
    client: Client
    request: AuthorizationRequest
    phone: str | None
    tries_left: int
    resend_after: int
    delivery: str
    declined: frozenset[str]


def sid_of(session_secret: str) -> str:
    """The `sid` of a session cookie: 128 bits of its SHA-256, fit to be shown in tokens."""
    return b64url(sha256(session_secret)[:16])


async def single_sign_on(
    provider: Provider, request: AuthorizationRequest, browser: Browser, max_age: int | None = None
) -> Finished | ConsentMissing | None:
    """Answer a request by the browser's session; None where somebody has to sign in."""
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
        limit=sending_limits.keyed(
            "begin", session.sid, provider.settings.interactions_per_address
        ),
        now=now,
    )
    match issued:
        case o.SessionEnded():
            return None
        case o.ConsentMissing():
            return ConsentMissing(session.sid)
        case o.Limited():
            return Finished(no_room(provider, request))
        case o.Issued():
            return Finished(respond(request, provider.issuer, {"code": code}))


async def begin(
    provider: Provider,
    request: AuthorizationRequest,
    browser: Browser,
    missing: ConsentMissing | None = None,
) -> Begun | Finished:
    """Begin to ask: for the phone, or where only that is `missing`, for consent."""
    interaction_id, secret = random_id(), random_secret()
    now = provider.clock()
    started = await provider.store.interaction_start(
        interaction_id,
        browser_hash=sha256(secret),
        request=request.to_store(),
        expires_at=now + provider.settings.lifetimes.interaction,
        limit=beginnings(provider, browser.address),
        now=now,
        sid=missing.sid if missing else None,
    )
    match started:
        case o.SessionEnded():
            return await begin(provider, request, browser)
        case o.Limited():
            return Finished(no_room(provider, request))
        case o.InteractionStarted():
            return Begun(interaction_id, secret, "consent" if missing else "phone")


async def again(
    provider: Provider, request: AuthorizationRequest, browser: Browser
) -> Begun | Finished:
    """Answer a request whose interaction is over by single sign-on, or begin it anew."""
    answered = await single_sign_on(provider, request, browser)
    if isinstance(answered, Finished):
        return answered
    return await begin(provider, request, browser, answered)


def no_room(provider: Provider, request: AuthorizationRequest) -> AuthorizationResponse:
    """The response where the rate limit or the store's memory has no room for one more."""
    provider.log.warning("authorization_refused", client_id=request.client_id)
    unavailable = TemporarilyUnavailable("too much is going on, try again later")
    return respond_error(request, provider.issuer, unavailable)


def beginnings(provider: Provider, address: str) -> KeyedLimit:
    """The limit on what anybody can begin: each takes memory for a while."""
    network = sending_limits.network_of(address)
    return sending_limits.keyed("begin", network, provider.settings.interactions_per_address)


async def read(
    provider: Provider, interaction_id: str, browser: Browser
) -> Journey | Begun | Finished:
    """The state of an interaction, for its pages. Raises PageError where there is none."""
    now = provider.clock()
    found = await provider.store.interaction_read(
        interaction_id, browser_hash=browser.hash, now=now
    )
    if not isinstance(found, o.FoundInteraction):
        return await elsewhere(provider, found, browser)
    request = await stored(provider, found.request)
    if found.step == "done":
        return await again(provider, request, browser)
    if found.step == "cancelled":
        return denied(provider, request)
    client = await client_of(provider, request)
    return Journey(
        interaction_id=interaction_id,
        step=found.step,
        client=client,
        request=request,
        phone=found.phone,
        tries_left=found.tries_left or 0,
        resend_after=max(0, (found.resend_at or 0) - now),
        delivery=kind_of(provider, client, found.phone, found.delivery),
        declined=frozenset(found.declined.split()),
    )


async def delivery(provider: Provider, interaction_id: str, browser: Browser) -> str | None:
    """How the code of an interaction reaches the customer, once that has been tried."""
    found = await provider.store.interaction_read(
        interaction_id, browser_hash=browser.hash, now=provider.clock()
    )
    return found.delivery if isinstance(found, o.FoundInteraction) else None


def kind_of(provider: Provider, client: Client, phone: str | None, delivery: str | None) -> str:
    """How a code reaches the customer: its `delivery`, or the first kind while it is queued."""
    if delivery is not None:
        return delivery
    steps = provider.settings.delivery.steps(phone or "", client.channel.channel_id)
    return steps[0].kind if steps else "sms"


def denied(provider: Provider, request: AuthorizationRequest) -> Finished:
    """The customer turned back."""
    return Finished(respond_error(request, provider.issuer, AccessDenied()))


async def elsewhere(
    provider: Provider,
    outcome: o.Unknown | o.OtherBrowser | o.Expired | o.Completed | o.OtherCustomer | o.Cancelled,
    browser: Browser,
) -> Begun | Finished:
    """The interaction is not where the step expects it: go where it is, or begin anew.

    Raises PageError where it leads nowhere.
    """
    match outcome:
        case o.Completed(request=request):
            return await again(provider, await stored(provider, request), browser)
        case o.Expired(request=request) if request is not None:
            return await begin(provider, await stored(provider, request), browser)
        case o.OtherCustomer(request=request):
            # OpenID Connect Core 3.1.2.1: somebody else than `id_token_hint` names is no success.
            error = LoginRequired()
            return Finished(respond_error(await stored(provider, request), provider.issuer, error))
        case o.Cancelled(request=request):
            return denied(provider, await stored(provider, request))
        case o.OtherBrowser():
            raise PageError("other_browser")
        case _:
            raise PageError("expired_journey")


async def stored(provider: Provider, request: o.Request) -> AuthorizationRequest:
    """A request of some time ago, if its client may still make it. Raises PageError."""
    read_back = AuthorizationRequest.from_store(request)
    client = await client_of(provider, read_back)
    if not client.still_allows(read_back.redirect_uri, read_back.scope):
        raise PageError(
            "redirect_uri", "the client's registration has changed", channel=client.channel
        )
    return read_back


async def client_of(provider: Provider, request: AuthorizationRequest) -> Client:
    """The client that made a request. Raises PageError when it is registered no more."""
    client = await provider.clients.get(request.client_id)
    if client is None:
        raise PageError("unknown_client", "the client is not registered any more")
    return client


def sign_in(provider: Provider, interaction_id: str, browser: Browser) -> SignIn:
    """What signing in by an interaction makes: derived, so the same at every repetition."""
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


def code_of(provider: Provider, interaction_id: str) -> str:
    """The authorization code of an interaction that has ended well."""
    return _code(provider.keys.secret("interaction"), interaction_id)


async def signed_in(provider: Provider, interaction_id: str, outcome: o.SignedIn) -> Finished:
    """The interaction has ended well."""
    code = code_of(provider, interaction_id)
    return Finished(
        respond(await stored(provider, outcome.request), provider.issuer, {"code": code}),
        _new_session(provider, interaction_id, outcome.sid),
    )


def consent_awaited(
    provider: Provider, interaction_id: str, outcome: o.ConsentAwaited
) -> ConsentAwaited:
    """The customer has signed in by the interaction, and is asked for consent."""
    return ConsentAwaited(_new_session(provider, interaction_id, outcome.sid))


def _new_session(provider: Provider, interaction_id: str, sid: str) -> str | None:
    """The secret of the session that the interaction began, unless an earlier one went on."""
    secret = _session_secret(provider.keys.secret("interaction"), interaction_id)
    return secret if sid == sid_of(secret) else None


def _session_secret(secret: bytes, interaction_id: str) -> str:
    return b64url(derive(secret, "session", interaction_id))


def _grant_id(secret: bytes, interaction_id: str) -> str:
    return b64url(derive(secret, "grant", interaction_id)[:16])


def _code(secret: bytes, interaction_id: str) -> str:
    chance = b64url(derive(secret, "code", interaction_id))
    return f"{_grant_id(secret, interaction_id)}.{chance}"
