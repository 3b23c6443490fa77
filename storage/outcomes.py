"""Every expected outcome of a store call, as a value.

Each procedure answers a map whose `type` names one of these; at the end, which ones each may be.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from storage.records import (
    AuditPosition,
    Block,
    ChannelRevision,
    ClientRow,
    Consent,
    Customer,
    InitialAccessToken,
    RevisedRow,
    SendingAlarm,
    Step,
)

Request = Mapping[str, Any]


class Outcome(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of the tagged outcomes."""


class Unknown(Outcome, frozen=True, tag="unknown"):
    """There is no such row, or it may not be used in this state."""


class Expired(Outcome, frozen=True, tag="expired"):
    """It was there; its time is over. An interaction brings its request along."""

    request: Request | None = None


class Mismatch(Outcome, frozen=True, tag="mismatch"):
    """It is bound to something else than the caller presented; nothing was spent."""

    parameter: str


class Replayed(Outcome, frozen=True, tag="replayed"):
    """It was used before: everything under its grant has ended."""


class Limited(Outcome, frozen=True, tag="limited"):
    """A rate limit refuses; another try makes sense after `retry_after` seconds."""

    retry_after: int


# Clients and channels


class FoundClient(Outcome, frozen=True, tag="client"):
    """A client and the document of its channel."""

    client: ClientRow
    channel: str


class FoundChannel(Outcome, frozen=True, tag="channel"):
    """The document of a channel."""

    document: str


class Applied(Outcome, frozen=True, tag="applied"):
    """The changes are made, by this call or by one before it."""

    revision: int


class InUse(Outcome, frozen=True, tag="in_use"):
    """A client would be left without its channel; nothing was changed."""

    client_id: str


class FoundRevision(Outcome, frozen=True, tag="channel_revision"):
    """What a revision made of which rows."""

    revision: ChannelRevision
    changes: tuple[RevisedRow, ...]


class Created(Outcome, frozen=True, tag="created"):
    """It is there, by this call or by one before it."""


class Exists(Outcome, frozen=True, tag="exists"):
    """The identifier is another's."""


class Stale(Outcome, frozen=True, tag="stale"):
    """It is no longer what the caller looked at; nothing was changed."""


class Deleted(Outcome, frozen=True, tag="deleted"):
    """It is gone, by this call or by one before it, with all that hung on it."""


class Accepted(Outcome, frozen=True, tag="accepted"):
    """A client assertion, used for the first time."""


class UsedBefore(Outcome, frozen=True, tag="used_before"):
    """A client assertion that another request has used."""


class FoundInitialAccessToken(Outcome, frozen=True, tag="initial_access_token"):
    """An initial access token with which one more client may be registered."""

    token: InitialAccessToken


class Permitted(Outcome, frozen=True, tag="permitted"):
    """An attempt within its rate limit, counted."""


class Full(Outcome, frozen=True, tag="full"):
    """There are as many of them as there may be."""


# Sessions and interactions


class FoundSession(Outcome, frozen=True, tag="session"):
    """A live session."""

    sid: str
    sub: str
    auth_time: int
    acr: str


class SessionEnded(Outcome, frozen=True, tag="session_ended"):
    """The session ended between the look at it and the code."""


class Ended(Outcome, frozen=True, tag="ended"):
    """The session and the grants that hung on it have ended."""


class FoundRequest(Outcome, frozen=True, tag="authorization_request"):
    """The parameters of a stored authorization request."""

    parameters: dict[str, str]


class InteractionStarted(Outcome, frozen=True, tag="interaction_started"):
    """An interaction waits at its first page."""


class FoundAuthSession(Outcome, frozen=True, tag="auth_session"):
    """The client that an auth session is bound to."""

    client_id: str


class Stored(Outcome, frozen=True, tag="stored"):
    """The authorization request is kept."""


class FoundInteraction(Outcome, frozen=True, tag="interaction"):
    """A login in progress.

    At the step `consent`, `declined` is the scope that its customer declined before. `delivery` is
    how the code reaches the customer, `failed` where it cannot; None before anybody has tried.
    """

    step: Step
    request: Request
    phone: str | None = None
    tries_left: int | None = None
    resend_at: int | None = None
    delivery: str | None = None
    declined: str = ""


class OtherBrowser(Outcome, frozen=True, tag="other_browser"):
    """The interaction belongs to another browser."""


class Cancelled(Outcome, frozen=True, tag="cancelled"):
    """The customer turned back."""

    request: Request


class Completed(Outcome, frozen=True, tag="completed"):
    """The interaction ended with a sign-in before; its code is used or old."""

    request: Request


class SignedIn(Outcome, frozen=True, tag="signed_in"):
    """Session, grant and code exist; `sid` is the session that goes on.

    `phone` is what was proven, unless the customer had signed in before.
    """

    sub: str
    sid: str
    request: Request
    phone: str | None = None


class ConsentAwaited(Outcome, frozen=True, tag="consent_awaited"):
    """The customer has signed in to the session `sid`, and is asked what they allow.

    `phone` as for SignedIn.
    """

    sid: str
    phone: str | None = None


class ConsentMissing(Outcome, frozen=True, tag="consent_missing"):
    """The customer has to be asked first: they were not yet, or not for so much."""


class FoundConsents(Outcome, frozen=True, tag="consents"):
    """What the customer of a session allows."""

    consents: tuple[Consent, ...]


class Withdrawn(Outcome, frozen=True, tag="withdrawn"):
    """The consent and the grants under it have ended, by this call or before it."""


class OtherCustomer(Outcome, frozen=True, tag="other_customer"):
    """Somebody else signed in than the request demands."""

    request: Request


class Issued(Outcome, frozen=True, tag="issued"):
    """A code was issued to a session."""


# One-time codes


class OtpStarted(Outcome, frozen=True, tag="started"):
    """A challenge runs; `send` says whether a message is due now.

    `delivery` is how the code came, once that has been tried.
    """

    challenge_id: str
    send: bool
    resend_at: int
    expires_at: int
    delivery: str | None = None
    request: Request | None = None
    alarms: tuple[SendingAlarm, ...] = ()


class ProofWanted(Outcome, frozen=True, tag="proof_wanted"):
    """The source is doubtful: whoever asks has to work for it first."""


class Refused(Outcome, frozen=True, tag="refused"):
    """A test number that an ordinary customer owns."""


class Malformed(Outcome, frozen=True, tag="malformed"):
    """The digits of a flash call, where nobody was called; not counted."""


class Wrong(Outcome, frozen=True, tag="wrong"):
    """A wrong code, counted."""

    tries_left: int


class Exhausted(Outcome, frozen=True, tag="exhausted"):
    """All tries are used up."""


class CodeExpired(Outcome, frozen=True, tag="code_expired"):
    """The one-time code is too old."""


class Spent(Outcome, frozen=True, tag="spent"):
    """The one-time code was used before."""


class Unregistered(Outcome, frozen=True, tag="unregistered"):
    """The phone is proven; the customer must give a name and accept the terms."""

    phone: str


class CustomerBlocked(Outcome, frozen=True, tag="customer_blocked"):
    """The phone is proven; nobody may sign in as this customer."""


# Messages


class Submitting(Outcome, frozen=True, tag="submitting"):
    """The message is wanted, and the caller's to hand to the provider now.

    `alarm` is of the provider's budget, if this message reaches a mark.
    """

    alarm: SendingAlarm | None = None


class OverBudget(Outcome, frozen=True, tag="over_budget"):
    """The provider's messages of today are spent."""


class SubmitAnswers(msgspec.Struct, frozen=True):
    """What is said of several messages, in their order."""

    answers: list[Submitting | OverBudget | Unknown]


class Noted(Outcome, frozen=True, tag="noted"):
    """What became of a message is written down."""


class Repeated(Outcome, frozen=True, tag="repeated"):
    """A receipt that was there before."""


# Customers and tokens


class FoundCustomer(Outcome, frozen=True, tag="customer"):
    """A customer's profile."""

    customer: Customer


class Redeemed(Outcome, frozen=True, tag="redeemed"):
    """A grant, as tokens need it; `refresh` says whether a refresh token was stored."""

    grant_id: str
    sub: str
    client_id: str
    sid: str
    scope: str
    auth_time: int
    acr: str
    amr: str
    refresh: bool
    nonce: str | None = None
    claims: Mapping[str, Any] | None = None
    customer: Customer | None = None


class Rotated(Outcome, frozen=True, tag="rotated"):
    """A grant whose refresh token was rotated, as tokens need it."""

    grant_id: str
    sub: str
    client_id: str
    sid: str
    scope: str
    auth_time: int
    acr: str
    amr: str
    claims: Mapping[str, Any] | None = None
    customer: Customer | None = None


class Active(Outcome, frozen=True, tag="active"):
    """An access token in use: the claims asked of userinfo, and whose they are."""

    customer: Customer
    claims: Mapping[str, Any] | None = None


class Inactive(Outcome, frozen=True, tag="inactive"):
    """An access token that was revoked, or whose grant has ended."""


class ServiceActive(Outcome, frozen=True, tag="service_active"):
    """A service's own token that nothing has ended."""


class FoundRefreshToken(Outcome, frozen=True, tag="refresh_token"):
    """The current refresh token of a grant in force, which ends at `expires_at`."""

    sub: str
    scope: str
    created_at: int
    expires_at: int


class Revoked(Outcome, frozen=True, tag="revoked"):
    """A token, and what hangs on it, was revoked."""


# The security team


class Account(Outcome, frozen=True, tag="account"):
    """A customer as the security team sees them; `terms_accepted_at` 0 is not yet."""

    sub: str
    phone: str
    created_at: int
    phone_verified_at: int
    last_sign_in: int
    terms_accepted_at: int
    test: bool
    block: Block | None = None


class Blocked(Outcome, frozen=True, tag="blocked"):
    """The customer is blocked, by this call."""


class AlreadyBlocked(Outcome, frozen=True, tag="already_blocked"):
    """The customer was blocked before, and that block stays."""

    block: Block


class Unblocked(Outcome, frozen=True, tag="unblocked"):
    """The block is lifted, by this call."""


class NotBlocked(Outcome, frozen=True, tag="not_blocked"):
    """There is no block to lift."""


# Sending


class BlockedSending(Outcome, frozen=True, tag="blocked_sending"):
    """Nothing is sent for it until `blocked_until`."""

    blocked_until: int


# Keys


class Changed(Outcome, frozen=True, tag="changed"):
    """It is as asked, by this call or by one before it."""


class WrongState(Outcome, frozen=True, tag="wrong_state"):
    """A key in this state cannot take that step."""

    state: str


class TooSoon(Outcome, frozen=True, tag="too_soon"):
    """The step would be unsafe before `earliest`: somebody could not verify a token."""

    earliest: int


# The audit trail


class AuditEnds(msgspec.Struct, frozen=True):
    """Where the chain in the store begins and ends: `anchor` is the row before its first."""

    anchor: AuditPosition
    head: AuditPosition


class Removed(Outcome, frozen=True, tag="removed"):
    """Rows are removed, by this call or by one before it; so many of what was asked remain."""

    remaining: int


# What each procedure may answer

ClientRead = FoundClient | Unknown
ChannelRead = FoundChannel | Unknown
ChannelsApply = Applied | Stale | InUse
ChannelRevisionRead = FoundRevision | Unknown
ClientCreate = Created | Exists | Unknown
ClientUpdate = Changed | Stale | Unknown
ClientDelete = Deleted | Unknown
AssertionUse = Accepted | UsedBefore
InitialAccessTokenRead = FoundInitialAccessToken | Unknown
InitialAccessTokenRevoke = Revoked | Unknown
RegistrationAttempt = Permitted | Limited
ClientRegister = Created | Unknown | Full
AuthorizationRequestStore = Stored | Limited
AuthorizationRequestRead = FoundRequest | Unknown
SessionRead = FoundSession | Unknown
CodeIssue = Issued | SessionEnded | ConsentMissing | Limited
CodeRedeem = Redeemed | Unknown | Expired | Mismatch | Replayed
InteractionStart = InteractionStarted | SessionEnded | Limited
AuthSessionStart = InteractionStarted | OtpStarted | ProofWanted | Refused | Limited
AuthSessionRead = FoundAuthSession | Unknown
InteractionRead = FoundInteraction | Completed | Unknown | OtherBrowser | Expired
InteractionCancel = Cancelled | Completed | Unknown | OtherBrowser | Expired
InteractionOtpStart = (
    OtpStarted
    | ProofWanted
    | Refused
    | Limited
    | ConsentAwaited
    | Completed
    | Unknown
    | OtherBrowser
    | Expired
)
InteractionOtpVerify = (
    SignedIn
    | ConsentAwaited
    | Unregistered
    | Malformed
    | Wrong
    | Exhausted
    | CodeExpired
    | Spent
    | Limited
    | OtherCustomer
    | CustomerBlocked
    | Completed
    | Unknown
    | OtherBrowser
    | Expired
)
CustomerRegister = (
    SignedIn
    | ConsentAwaited
    | OtherCustomer
    | CustomerBlocked
    | Completed
    | Unknown
    | OtherBrowser
    | Expired
)
ConsentDecide = SignedIn | Cancelled | Completed | Unknown | OtherBrowser | Expired
ConsentsList = FoundConsents | Unknown
ConsentWithdraw = Withdrawn | Unknown
CustomerRead = FoundCustomer | Unknown
OtpStart = OtpStarted | ProofWanted | Refused | Limited | Unknown
OtpRedeem = (
    Redeemed
    | Malformed
    | Wrong
    | Exhausted
    | CodeExpired
    | Spent
    | Limited
    | CustomerBlocked
    | Unknown
)
MessageSubmit = Submitting | OverBudget | Unknown

MessageRefuse = Noted | Unknown
MessageReceipt = Noted | Repeated | Unknown
RefreshRotate = Rotated | Unknown | Expired | Mismatch | Replayed
AccessTokenRead = Active | Inactive
ServiceTokenRead = ServiceActive | Inactive
RefreshTokenRead = FoundRefreshToken | Inactive
TokenRevoke = Revoked | Unknown | Mismatch
CustomerFind = Account | Unknown
CustomerBlock = Blocked | AlreadyBlocked | Unknown
CustomerUnblock = Unblocked | NotBlocked | Unknown
SessionsRevoke = Revoked | Unknown
TokenWithdraw = Revoked | Unknown
KeyChange = Changed | Unknown | WrongState | TooSoon
AuditRemove = Removed | Unknown
SendingBlock = BlockedSending | Unknown
SendingUnblock = Unblocked | NotBlocked | Unknown
