"""Errors in the protocol's words.

`description` is public, and refused outside the characters that RFC 6749 5.2 allows; `detail` goes
to the log alone.

OAuthError
├── InvalidRequest, InvalidClient, InvalidGrant, UnauthorizedClient, UnsupportedGrantType,
│   InvalidScope, SlowDown, TemporarilyUnavailable                    RFC 6749, 8628
├── ProofOfWorkRequired                                               our own
├── AccessDenied, UnsupportedResponseType, LoginRequired, ConsentRequired, RequestNotSupported,
│   RequestUriNotSupported, UnmetAuthenticationRequirements           at the authorization endpoint
├── InvalidSession, RedirectToWeb                                     OAuth 2.0 for First-Party Apps
├── InvalidToken, InsufficientScope                                   RFC 6750
└── RegistrationError                                                 RFC 7591, 7592
    └── UnacceptableMetadata, InvalidRedirectUri, InvalidSoftwareStatement,
        UnapprovedSoftwareStatement, RegistrationForbidden
PageError   what a customer is told on a page, because there is nobody else to tell
"""

import re
from collections.abc import Mapping
from typing import ClassVar

from flows.channel import Channel

_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")


class OAuthError(Exception):
    """An error that the protocol names, with the HTTP status it has as a direct answer."""

    error: ClassVar[str]
    status: ClassVar[int] = 400

    def __init__(
        self,
        description: str = "",
        *,
        detail: str = "",
        retry_after: int | None = None,
        tries_left: int | None = None,
    ) -> None:
        if not _DESCRIPTION.fullmatch(description):
            raise ValueError(f"not allowed in an error_description: {description!r}")
        super().__init__(f"{self.error}: {description}")
        self.description = description
        self.detail = detail
        self.retry_after = retry_after
        self.tries_left = tries_left

    def parameters(self) -> dict[str, str]:
        """The error as response parameters (RFC 6749 4.1.2.1)."""
        members = {"error": self.error}
        if self.description:
            members["error_description"] = self.description
        return members


class InvalidRequest(OAuthError):
    """RFC 6749 5.2: a parameter is missing, repeated or malformed."""

    error = "invalid_request"


class InvalidClient(OAuthError):
    """RFC 6749 5.2: client authentication failed; `challenge` asks for Basic in the answer."""

    error = "invalid_client"
    status = 401

    def __init__(self, description: str = "", *, detail: str = "", challenge: bool = False) -> None:
        super().__init__(description, detail=detail)
        self.challenge = challenge


class InvalidGrant(OAuthError):
    """RFC 6749 5.2: the code, refresh token or one-time code is not good (any more)."""

    error = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """RFC 6749 5.2: this client may not do this."""

    error = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """RFC 6749 5.2."""

    error = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """RFC 6749 5.2: the scope is unknown, malformed, or more than allowed."""

    error = "invalid_scope"


class InvalidTarget(OAuthError):
    """RFC 8707 2."""

    error = "invalid_target"


class SlowDown(OAuthError):
    """A rate limit refuses (the code is RFC 8628's); try again after `retry_after` seconds."""

    error = "slow_down"
    status = 429


BAD_PROOF = "proof_of_work is wrong, too old or used: ask again with another"


class ProofOfWorkRequired(OAuthError):
    """Our own: ask again for this `otp_session` with a proof of work (docs/phone-codes.md).

    `proof_of_work` says which. It is `once_more` where the proof that came was no good one.
    """

    error = "proof_of_work_required"
    status = 403

    def __init__(
        self, otp_session: str, proof_of_work: Mapping[str, str | int], *, once_more: bool
    ) -> None:
        super().__init__(BAD_PROOF if once_more else "ask again with a proof of work")
        self.members = {"otp_session": otp_session, "proof_of_work": proof_of_work}


class TemporarilyUnavailable(OAuthError):
    """RFC 6749 4.1.2.1: overload or maintenance."""

    error = "temporarily_unavailable"
    status = 503


class AccessDenied(OAuthError):
    """RFC 6749 4.1.2.1: the customer turned back."""

    error = "access_denied"


class UnsupportedResponseType(OAuthError):
    """RFC 6749 4.1.2.1."""

    error = "unsupported_response_type"


class LoginRequired(OAuthError):
    """OpenID Connect Core 3.1.2.6."""

    error = "login_required"


class ConsentRequired(OAuthError):
    """OpenID Connect Core 3.1.2.6."""

    error = "consent_required"


class RequestNotSupported(OAuthError):
    """OpenID Connect Core 3.1.2.6."""

    error = "request_not_supported"


class RequestUriNotSupported(OAuthError):
    """OpenID Connect Core 3.1.2.6."""

    error = "request_uri_not_supported"


class UnmetAuthenticationRequirements(OAuthError):
    """OpenID Connect Unmet Authentication Requirements 1.0: an essential `acr` cannot be had."""

    error = "unmet_authentication_requirements"


class InvalidSession(OAuthError):
    """OAuth 2.0 for First-Party Applications 5.2.2.1: the auth_session is not good (any more)."""

    error = "invalid_session"


class RedirectToWeb(OAuthError):
    """OAuth 2.0 for First-Party Applications 5.2.2.1.1: what is asked for needs our pages."""

    error = "redirect_to_web"
    status = 403


class InvalidToken(OAuthError):
    """RFC 6750 3.1: the access token is expired, revoked or malformed."""

    error = "invalid_token"
    status = 401


class MissingToken(InvalidToken):
    """RFC 6750 3.1: no token was presented, so the answer carries no error code."""


class InsufficientScope(OAuthError):
    """RFC 6750 3.1: the access token is good, but for something else."""

    error = "insufficient_scope"
    status = 403


class RegistrationError(OAuthError):
    """A client cannot be registered so."""


class UnacceptableMetadata(RegistrationError):
    """RFC 7591 3.2.2: something in the metadata is invalid, or more than is allowed."""

    error = "invalid_client_metadata"


class InvalidRedirectUri(RegistrationError):
    """RFC 7591 3.2.2: a redirection URI is invalid, or not allowed."""

    error = "invalid_redirect_uri"


class InvalidSoftwareStatement(RegistrationError):
    """RFC 7591 3.2.2: the software statement is not what its issuer signed, or not good now."""

    error = "invalid_software_statement"


class UnapprovedSoftwareStatement(RegistrationError):
    """RFC 7591 3.2.2: the software statement is of somebody who is not trusted with that."""

    error = "unapproved_software_statement"


class RegistrationForbidden(RegistrationError):
    """RFC 7592 2: nobody may register any more, or a client was disabled by an operator."""

    error = "access_denied"
    status = 403


class PageError(Exception):
    """What a customer is told on a page; `key` names the text, `description` is for developers.

    With `channel` the page looks like that channel, and says where its customers find help.
    """

    def __init__(
        self,
        key: str,
        description: str = "",
        *,
        status: int = 400,
        channel: Channel | None = None,
    ) -> None:
        super().__init__(f"{key}: {description}")
        self.key = key
        self.description = description
        self.status = status
        self.channel = channel
