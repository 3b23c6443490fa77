"""Native login (draft-ietf-oauth-first-party-apps-04): an app of the group shows the steps itself.

It brings the phone, the one-time code and the first time a name, and gets an authorization code. An
auth_session is to an app what the cookie of an interaction is to a browser, so the steps are those
of the pages.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from flows import journeys, one_time_code, proof_of_work, sending_limits
from flows.authorize import check_native
from flows.client_auth import authenticate
from flows.clients import Client
from flows.errors import (
    BAD_PROOF,
    AccessDenied,
    InvalidSession,
    LoginRequired,
    RedirectToWeb,
    SlowDown,
    UnauthorizedClient,
)
from flows.journeys import Browser
from flows.login import profile_errors, shown_name
from flows.parameters import Parameters
from flows.phones import normalise
from flows.provider import Provider
from flows.sending_limits import Asker
from keys.hashing import b64url, random_id, random_secret, sha256
from storage import outcomes as o
from storage.records import NewChallenge

_NO_PHONE = "phone is not a phone number that may sign in"
_PROFILE = ("given_name", "family_name", "terms_accepted")


@dataclass(frozen=True, slots=True)
class CodeIssued:
    """The authorization code, for the token endpoint.

    `device` is for the app to keep and to show at its next sign-in with the same phone: a device
    that has signed in cannot be locked out by others who ask for that phone.
    """

    authorization_code: str
    device: str | None = None


class Insufficient(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The error `insufficient_authorization` (5.2.2.1): what the app has to bring next.

    One of the three `*_required` is true. `resend_after` and `otp_expires_in` are in seconds;
    `otp_delivery` is how the code comes (flows.ports.Kind), `failed` where it cannot.
    `profile_errors` has what is wrong with a profile by parameter, `required` or `too_long`.
    """

    auth_session: str
    error_description: str | None = None
    phone_required: bool = False
    otp_required: bool = False
    profile_required: bool = False
    otp_delivery: str | None = None
    resend_after: int | None = None
    otp_expires_in: int | None = None
    tries_left: int | None = None
    profile_errors: dict[str, str] | None = None
    proof_of_work: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Session:
    """An auth session that somebody presents, and the client that it must be bound to.

    `browser` is what an app has of one: no session that others could share. `asker` is who wants a
    code sent.
    """

    provider: Provider
    client: Client
    interaction_id: str
    browser: Browser
    asker: Asker

    @classmethod
    def of(
        cls, provider: Provider, client: Client, secret: str, address: str, parameters: Parameters
    ) -> "_Session":
        """The auth session of a secret."""
        asker = Asker(
            address=address,
            device=parameters.get("device"),
            proof=parameters.get("proof_of_work"),
        )
        browser = Browser(secret, None, address)
        return cls(provider, client, _interaction_id(secret), browser, asker)

    def awaits(self, **members: Any) -> Insufficient:
        """What comes next."""
        return Insufficient(auth_session=self.browser.secret, **members)


async def challenge(
    provider: Provider,
    authorization: str | None,
    parameters: Parameters,
    *,
    address: str,
    locales: Iterable[str],
) -> CodeIssued | Insufficient:
    """Answer an authorization challenge request (5.1): one step of a login.

    `address` is whom the request comes from, `locales` are those that the customer prefers. Raises
    an OAuthError.
    """
    parameters.refuse_repeated()
    secret = parameters.get("auth_session")
    if secret is not None and authorization is None:
        parameters = await _named(provider, secret, parameters)
    client = await authenticate(provider, authorization, parameters)
    # 5: before anything else happens.
    if not client.is_first_party_native:
        raise UnauthorizedClient("the client is not registered for sign-ins without a browser")
    if secret is None:
        return await _begin(provider, client, parameters, address, locales)
    session = _Session.of(provider, client, secret, address, parameters)
    if (otp := parameters.get("otp")) is not None:
        return await _enter_code(session, otp)
    if (phone := parameters.get("phone")) is not None:
        return await _enter_phone(session, phone)
    if any(parameters.get(name) is not None for name in _PROFILE):
        return await _enter_profile(session, parameters)
    return await _next_step(session)


async def _named(provider: Provider, secret: str, parameters: Parameters) -> Parameters:
    """The parameters, with the `client_id` that the auth session alone stands for (5.1)."""
    if any(name in parameters.values for name in ("client_id", "client_assertion")):
        return parameters
    found = await provider.store.auth_session_read(
        _interaction_id(secret), browser_hash=sha256(secret)
    )
    match found:
        case o.FoundAuthSession(client_id=client_id):
            return Parameters({**parameters.values, "client_id": client_id})
        case o.Unknown():
            raise InvalidSession


def _interaction_id(secret: str) -> str:
    """The identifier of an auth session: 128 bits of its SHA-256."""
    return b64url(sha256(secret)[:16])


# The steps


async def _begin(
    provider: Provider,
    client: Client,
    parameters: Parameters,
    address: str,
    locales: Iterable[str],
) -> Insufficient:
    checked = check_native(provider, client, parameters, locales)
    if "none" in checked.prompt:
        raise LoginRequired("there is no session without a browser")
    if "consent" in checked.prompt:
        raise RedirectToWeb("consent is asked for on a page")
    session = _Session.of(provider, client, random_secret(), address, parameters)
    # The draft's own example (5.1) brings the phone as the hint.
    text = parameters.get("phone") or parameters.get("login_hint")
    phone = _reachable(provider, text) if text is not None else None
    new = _new_challenge(session, phone) if phone is not None else None
    now = provider.clock()
    started = await provider.store.auth_session_start(
        session.interaction_id,
        browser_hash=session.browser.hash,
        request=checked.request.to_store(),
        expires_at=now + provider.settings.lifetimes.interaction,
        limit=journeys.beginnings(provider, address),
        challenge=new,
        now=now,
    )
    match started:
        case o.InteractionStarted() if text is None:
            return session.awaits(phone_required=True)
        case o.InteractionStarted() | o.Refused():
            return session.awaits(phone_required=True, error_description=_NO_PHONE)
        case o.Limited(retry_after=seconds):
            raise SlowDown("too many sign-ins or codes were asked for", retry_after=seconds)
    assert phone is not None  # noqa: S101 - there is nothing to send without one
    if isinstance(started, o.ProofWanted):
        return _proof_wanted(session, phone)
    return _code_queued(session, started, phone)


async def _enter_phone(session: _Session, text: str) -> Insufficient:
    """Send a code, the first or once more, or to another phone than before."""
    provider = session.provider
    phone = _reachable(provider, text)
    if phone is None:
        await _next_step(session)
        return session.awaits(phone_required=True, error_description=_NO_PHONE)
    new = _new_challenge(session, phone)
    started = await provider.store.interaction_otp_start(
        session.interaction_id,
        browser_hash=session.browser.hash,
        challenge=new,
        now=provider.clock(),
        bound_client_id=session.client.client_id,
    )
    match started:
        case o.Limited(retry_after=seconds):
            raise SlowDown("too many codes were asked for", retry_after=seconds)
        case o.Refused():
            return session.awaits(phone_required=True, error_description=_NO_PHONE)
        case o.ProofWanted():
            return _proof_wanted(session, phone)
        case o.OtpStarted():
            return _code_queued(session, started, phone)
        case _:
            raise InvalidSession(detail=repr(started))


def _reachable(provider: Provider, text: str) -> str | None:
    phone = normalise(text)
    return phone if phone and one_time_code.can_reach(provider, phone) else None


def _new_challenge(session: _Session, phone: str) -> NewChallenge:
    return one_time_code.new_challenge(
        session.provider, session.interaction_id, phone, session.asker
    )


def _proof_wanted(session: _Session, phone: str) -> Insufficient:
    wanted = proof_of_work.wanted(session.provider, session.interaction_id, phone)
    return session.awaits(
        phone_required=True,
        proof_of_work=wanted.members(),
        error_description=BAD_PROOF if session.asker.proof is not None else None,
    )


def _code_queued(session: _Session, started: o.OtpStarted, phone: str) -> Insufficient:
    provider = session.provider
    sending_limits.tell(provider.log, *started.alarms)
    provider.outbox.wake()
    now = provider.clock()
    return session.awaits(
        otp_required=True,
        otp_delivery=journeys.kind_of(provider, session.client, phone, started.delivery),
        otp_expires_in=max(0, started.expires_at - now),
        resend_after=max(0, started.resend_at - now),
    )


async def _enter_code(session: _Session, text: str) -> CodeIssued | Insufficient:
    provider = session.provider
    digits = "".join(text.split())
    if not one_time_code.is_well_formed(provider, digits):
        return await _malformed(session)
    verified = await provider.store.interaction_otp_verify(
        session.interaction_id,
        browser_hash=session.browser.hash,
        otp_hashes=one_time_code.hashes_of(provider, session.interaction_id, digits),
        attempt=random_id(),
        wrong_tries=provider.settings.otp.wrong_tries_per_phone,
        sign_in=journeys.sign_in(provider, session.interaction_id, session.browser),
        now=provider.clock(),
        bound_client_id=session.client.client_id,
        call=one_time_code.is_call(provider, digits),
    )
    match verified:
        case o.Unregistered():
            return session.awaits(profile_required=True)
        case o.Malformed():
            return await _malformed(session)
        case o.Wrong(tries_left=left):
            return session.awaits(
                otp_required=True, tries_left=left, error_description="the code is wrong"
            )
        case o.Exhausted():
            return session.awaits(
                phone_required=True,
                tries_left=0,
                error_description="the code was mistaken too often",
            )
        case o.CodeExpired():
            return session.awaits(phone_required=True, error_description="the code has expired")
        case o.Limited(retry_after=seconds):
            raise SlowDown("too many wrong codes", retry_after=seconds)
        case o.Spent():
            return await _next_step(session)
        case _:
            return _signed_in(session, verified)


async def _malformed(session: _Session) -> Insufficient:
    step = await _next_step(session)
    return msgspec.structs.replace(step, error_description="the code is malformed")


async def _enter_profile(session: _Session, parameters: Parameters) -> CodeIssued | Insufficient:
    provider = session.provider
    given_name = shown_name(parameters.get("given_name"))
    family_name = shown_name(parameters.get("family_name"))
    accepted = parameters.get("terms_accepted") == "true"
    errors = profile_errors(given_name, family_name, terms_accepted=accepted)
    if errors:
        step = await _next_step(session)
        named = {"terms_accepted" if it == "terms" else it: what for it, what in errors.items()}
        return msgspec.structs.replace(
            step, profile_errors=named if step.profile_required else None
        )
    registered = await provider.store.customer_register(
        session.interaction_id,
        browser_hash=session.browser.hash,
        new_sub=random_id(),
        given_name=given_name,
        family_name=family_name or None,
        sign_in=journeys.sign_in(provider, session.interaction_id, session.browser),
        now=provider.clock(),
        bound_client_id=session.client.client_id,
    )
    if isinstance(registered, o.Unknown):
        # The phone is not proven yet, or the auth session is none.
        return await _next_step(session)
    return _signed_in(session, registered)


async def _next_step(session: _Session) -> Insufficient:
    """Where the login stands. Raises an OAuthError where it is over."""
    provider = session.provider
    now = provider.clock()
    found = await provider.store.interaction_read(
        session.interaction_id,
        browser_hash=session.browser.hash,
        now=now,
        bound_client_id=session.client.client_id,
    )
    if not isinstance(found, o.FoundInteraction):
        raise InvalidSession(detail=repr(found))
    match found.step:
        case "code" if found.tries_left:
            return session.awaits(
                otp_required=True,
                otp_delivery=journeys.kind_of(
                    provider, session.client, found.phone, found.delivery
                ),
                tries_left=found.tries_left,
                resend_after=max(0, (found.resend_at or 0) - now),
            )
        case "phone" | "code":
            return session.awaits(phone_required=True)
        case "profile":
            return session.awaits(profile_required=True)
        case "blocked":
            raise AccessDenied("access is closed for this customer")
        case _:
            raise InvalidSession("the sign-in is over")


def _signed_in(
    session: _Session, outcome: o.InteractionOtpVerify | o.CustomerRegister
) -> CodeIssued:
    """The end of a login: the code, or why there is none. Raises an OAuthError."""
    match outcome:
        case o.SignedIn(phone=phone):
            code = journeys.code_of(session.provider, session.interaction_id)
            return CodeIssued(code, sending_limits.new_device(session.provider, phone))
        case o.CustomerBlocked():
            raise AccessDenied("access is closed for this customer")
        case o.OtherCustomer():
            # OpenID Connect Core 3.1.2.1: somebody else than `id_token_hint` names is no success.
            raise LoginRequired("another customer was asked for")
        case _:
            raise InvalidSession(detail=repr(outcome))
