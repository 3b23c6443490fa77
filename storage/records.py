"""The rows that leave the store, as frozen records. Times are Unix seconds."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from conf.settings import Lifetimes


class ClientRow(msgspec.Struct, frozen=True):
    """A client as it is kept: the protocol layer's own document, as JSON text."""

    client_id: str
    channel_id: str
    document: str


class ChannelRow(msgspec.Struct, frozen=True):
    """A channel as it is kept: its document, as JSON text."""

    channel_id: str
    document: str


class Customer(msgspec.Struct, frozen=True):
    """A customer's profile. `phone` is E.164."""

    sub: str
    phone: str
    phone_verified_at: int
    created_at: int
    given_name: str | None = None
    family_name: str | None = None
    claims: Mapping[str, Any] | None = None


class SigningKeyRow(msgspec.Struct, frozen=True):
    """A signing key; its private part is sealed."""

    kid: str
    alg: str
    state: str
    public_jwk: dict[str, Any]
    sealed_private: str
    created_at: int


class ServerSecretRow(msgspec.Struct, frozen=True):
    """A named secret that all nodes of the server share, sealed."""

    name: str
    version: int
    sealed: str
    created_at: int


class AuditEvent(msgspec.Struct, frozen=True):
    """One row of the audit trail."""

    seq: int
    at: int
    event: str
    sub: str | None = None
    client_id: str | None = None
    detail: Mapping[str, Any] | None = None


Step = Literal["phone", "code", "profile", "done", "cancelled"]


class KeyedLimit(msgspec.Struct, frozen=True):
    """A rate limit on one key: at most `burst` events at once, refilled over `period` seconds."""

    key: str
    burst: int
    period: int


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
