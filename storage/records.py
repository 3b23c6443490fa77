"""The rows that leave the store, as frozen records. Times are Unix seconds."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from conf.settings import Lifetimes

ClientSource = Literal["channels", "operator", "registration"]


class ClientRow(msgspec.Struct, frozen=True):
    """A client as it is kept: the protocol layer's own document, as JSON text.

    `source` is who manages it: a channels file, an operator or, by RFC 7592, the client itself.
    """

    client_id: str
    channel_id: str
    document: str
    source: ClientSource = "channels"


class ClientsPage(msgspec.Struct, frozen=True):
    """A part of a list of clients; `after` is where it goes on, if it does."""

    clients: tuple[ClientRow, ...]
    after: str | None = None


class InitialAccessToken(msgspec.Struct, frozen=True):
    """What lets its holder register clients; `policy` is the protocol layer's, as JSON text.

    `registered` of `most_clients` were made with it.
    """

    token_id: str
    policy: str
    most_clients: int
    registered: int
    created_at: int
    created_by: str
    expires_at: int
    revoked_at: int | None = None


class ChannelRow(msgspec.Struct, frozen=True):
    """A channel as it is kept: its document, as JSON text."""

    channel_id: str
    document: str


class ChannelsState(msgspec.Struct, frozen=True):
    """Channels with the clients that files manage; `version` stands for exactly these rows."""

    channels: tuple[ChannelRow, ...]
    clients: tuple[ClientRow, ...]
    version: str


class ChannelsChange(msgspec.Struct, frozen=True):
    """A channel or a client that is to be `row`, or with None not to be."""

    kind: Literal["channel", "client"]
    id: str
    row: ChannelRow | ClientRow | None


class ChangedRow(msgspec.Struct, frozen=True):
    """What became of a channel or a client; of a client, `channel_id` is its channel."""

    kind: Literal["channel", "client"]
    id: str
    channel_id: str
    what: Literal["added", "changed", "removed"]


class ChannelRevision(msgspec.Struct, frozen=True):
    """What was applied to channels and their clients at once.

    `undoes` is the revision that it took back, `forced` says that it broke running clients.
    """

    revision: int
    at: int
    by: str
    forced: bool
    reason: str | None = None
    undoes: int | None = None
    changed: tuple[ChangedRow, ...] = ()


class RevisedRow(msgspec.Struct, frozen=True):
    """A channel or a client before and after a revision: members of its row."""

    kind: Literal["channel", "client"]
    id: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


class Customer(msgspec.Struct, frozen=True):
    """A customer's profile. `phone` is E.164."""

    sub: str
    phone: str
    phone_verified_at: int
    created_at: int
    given_name: str | None = None
    family_name: str | None = None
    claims: Mapping[str, Any] | None = None


class Consent(msgspec.Struct, frozen=True):
    """What a customer allows a partner's client; `scope` has single spaces between its names.

    Grants hang on it by `consent_id`: taking something back makes it another consent.
    """

    client_id: str
    consent_id: str
    scope: str
    granted_at: int
    updated_at: int


class Block(msgspec.Struct, frozen=True):
    """Why nobody may sign in as a customer; a thing of the past once it is lifted."""

    at: int
    by: str
    reason: str
    lifted_at: int | None = None


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions and grants of a customer or a client that began from `since` on, until `before`."""

    sub: str | None = None
    client_id: str | None = None
    since: int = 0
    before: int | None = None


class LiveGrant(msgspec.Struct, frozen=True):
    """What one client holds under a session; `offline` outlives it."""

    client_id: str
    offline: bool
    expires_at: int


class LiveSession(msgspec.Struct, frozen=True):
    """What lives of one session: with no `expires_at` the session is over, and its grants are not.

    `phone` is E.164.
    """

    sid: str
    sub: str
    phone: str
    created_at: int
    grants: tuple[LiveGrant, ...]
    seen_at: int | None = None
    expires_at: int | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a list of sessions stands."""

    sub: str
    sid: str


class SessionsPage(msgspec.Struct, frozen=True):
    """A part of a list of sessions; `after` is where it goes on, if it does."""

    sessions: tuple[LiveSession, ...]
    after: Place | None = None


KeyUse = str
"""`sig` or `enc`; a newer version of the server may know others, which mean nothing here."""
SealedPart = Literal["sealed_private", "sealed_public"]
KeyState = str
"""`next`, `active`, `retiring`, `retired` or `revoked`; likewise."""


class SigningKeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A key pair; its private part is sealed, or in a hardware security module (`hsm`).

    It is published from `created_at` to `ended_at`. `ordered` says that `activates_at` is an
    operator's wish. `token_lifetime` is that of the longest-lived token that it may have signed.
    """

    kid: str
    alg: str
    use: KeyUse
    public_jwk: dict[str, Any]
    created_at: int
    token_lifetime: int
    state: KeyState = "next"
    hsm: bool = False
    ordered: bool = False
    activates_at: int | None = None
    activated_at: int | None = None
    retires_at: int | None = None
    ended_at: int | None = None
    sealed_public: str | None = None
    sealed_private: str | None = None


class KeyPolicy(msgspec.Struct, frozen=True):
    """What the store holds every change of a key to, in seconds.

    A key is published for `publish_ahead` before it signs; within `propagation` every process
    knows of a change.
    """

    publish_ahead: int
    propagation: int


class By(msgspec.Struct, frozen=True):
    """Who asks for a change, and why; nobody when the server does it by itself."""

    by: str | None = None
    reason: str | None = None


class ServerSecretRow(msgspec.Struct, frozen=True):
    """A named secret that all nodes of the server share, sealed."""

    name: str
    version: int
    sealed: str
    created_at: int
    superseded_at: int | None = None


class ResealedKey(msgspec.Struct, frozen=True):
    """A sealed part of a key (`field`), under another key-encryption key."""

    kid: str
    field: SealedPart
    old: str
    new: str


class ResealedSecret(msgspec.Struct, frozen=True):
    """A version of a server secret under another key-encryption key."""

    name: str
    version: int
    old: str
    new: str


class ResealedClient(msgspec.Struct, frozen=True):
    """The document of a client whose secrets are under another key-encryption key."""

    client_id: str
    old: str
    new: str


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the audit trail; `by` is None where the server itself acted.

    `detail` is JSON text, whose bytes are a part of the chain as `hash` (hexadecimal) is.
    """

    seq: int
    at: int
    event: str
    sub: str | None = None
    client_id: str | None = None
    by: str | None = None
    reason: str | None = None
    detail: str | None = None
    hash: str


class AuditPosition(msgspec.Struct, frozen=True):
    """A row of the audit trail by its number and hash, which stands for all rows before it too."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


Step = Literal["phone", "code", "profile", "consent", "blocked", "done", "cancelled"]


class KeyedLimit(msgspec.Struct, frozen=True):
    """A rate limit on one key: at most `burst` events at once, refilled over `period` seconds."""

    key: str
    burst: int
    period: int


class Proof(msgspec.Struct, frozen=True):
    """A proof of work that is right; the store takes it once, and not after `expires_at`."""

    proof_id: str
    expires_at: int


class Sending(msgspec.Struct, frozen=True):
    """From where a code is asked for, and what its message is held to.

    `source` is a network, or a client that asks in its customers' names; then there is no
    `address`. `prefix` is what the number begins with. `device` is the own limit of a device that
    has signed in with this number, `wrong_tries` that on the source's wrong codes. A cell in which
    less than `lowest_conversion` of the messages come back is held for `hold` seconds at first.
    """

    source: str
    prefix: str
    prefix_limit: KeyedLimit
    wrong_tries: KeyedLimit
    client_budget: int
    lowest_conversion: float
    hold: int
    address: str | None = None
    device: KeyedLimit | None = None
    proof: Proof | None = None


class NewChallenge(msgspec.Struct, frozen=True):
    """What the caller brings to begin a one-time-code challenge."""

    challenge_id: str
    phone: str
    otp_hash: bytes
    tries: int
    validity: int
    resend_after: int
    test: bool
    attempt: str
    send_limits: tuple[KeyedLimit, ...]
    sending: Sending


class ClaimedMessage(msgspec.Struct, frozen=True):
    """A code to send, and one worker's for a while.

    `step` counts the steps of its cascade from 1. A `provider` has perhaps been given it already,
    and takes it twice for once. It was queued `age` seconds ago; the code is good for `valid_for`.
    """

    journey: str
    message_id: str
    challenge_id: str
    phone: str
    client_id: str
    locale: str
    step: int
    valid_for: int
    age: int
    provider: str | None = None


class HandOver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that its worker, by `claim`, is about to give to a provider.

    Unless the provider is `idempotent` it counts as sent from now on, whatever happens to the
    worker, and its next step is due after `wait` seconds; None where there is none. It counts for
    the provider's `budget` of today (UTC). An idempotent one is the worker's for `lease` seconds.
    """

    journey: str
    message_id: str
    claim: str
    provider: str
    kind: str
    idempotent: bool
    budget: int
    lease: int
    wait: int | None = None


class TakenMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message that a provider took, or perhaps took; a receipt may come for `provider_id`.

    `call_hash` is of the digits that its flash call ends with. `wait` as for a HandOver.
    """

    journey: str
    message_id: str
    challenge_id: str
    client_id: str
    step: int
    claim: str
    provider: str
    provider_id: str | None = None
    call_hash: bytes | None = None
    wait: int | None = None


class SignIn(msgspec.Struct, frozen=True):
    """What the caller brings to sign a customer in.

    `current_sid` is the session of the browser's cookie, which goes on if it is the same
    customer's; otherwise `new_sid` begins. `code_hash` is the code's, where a code is issued.
    """

    new_sid: str
    grant_id: str
    acr: str
    amr: str
    lifetimes: Lifetimes
    current_sid: str | None = None
    code_hash: bytes | None = None


class Wanted(msgspec.Struct, frozen=True):
    """What a grant is asked for: `offline` outlives its session, `refresh` has a refresh token."""

    client_id: str
    scope: str
    offline: bool
    refresh: bool


class SendingAlarm(msgspec.Struct, frozen=True):
    """A cell that is held from now on, or a budget of which so many `percent` are spent.

    Of a cell, `percent` is how many of its messages come back.
    """

    what: Literal["held", "budget"]
    key: str
    percent: int


class SendingCell(msgspec.Struct, frozen=True):
    """Messages against sign-ins of one prefix, network, address or client; counters that fade.

    `vouched` counts sign-ins by customers of long standing, `refused` the messages that were held
    back. `held_until` and `blocked_until` are 0, or past, where nothing is.
    """

    key: str
    sent: float
    signed_in: float
    vouched: float
    refused: int
    held_until: int
    blocked_until: int


class SendingCells(msgspec.Struct, frozen=True):
    """A part of a list of cells; `after` is where it goes on, if it does."""

    cells: tuple[SendingCell, ...]
    after: str | None = None


class MessageBudget(msgspec.Struct, frozen=True):
    """The messages of today (UTC) for a client or by a provider."""

    key: str
    spent: int
    budget: int


class SendingHeld(msgspec.Struct, frozen=True):
    """What is held back or blocked now, and what today's messages are."""

    cells: tuple[SendingCell, ...]
    budgets: tuple[MessageBudget, ...]
