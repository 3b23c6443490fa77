"""An authorization request that passed every check, and the responses to one."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from flows.errors import OAuthError

ResponseMode = Literal["query", "fragment", "form_post"]
RESPONSE_MODES: tuple[ResponseMode, ...] = ("query", "fragment", "form_post")


class ConsentAsked(msgspec.Struct, frozen=True):
    """What a partner's request asks its customer to allow.

    `scope` includes the scopes of what the `claims` parameter names; `claims` is the scope of each
    of these claims. `always` asks a customer who has answered before too.
    """

    scope: str
    claims: Mapping[str, str]
    always: bool


class AuthorizationRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an interaction remembers of its request, and a code of its interaction.

    `redirect_uri` is empty where an app asks without a browser. `required_sub` is the customer whom
    `id_token_hint` or the `claims` parameter names; `locale` and `login_hint` are for the pages.
    """

    client_id: str
    redirect_uri: str
    response_mode: ResponseMode
    scope: str
    offline: bool
    refresh: bool
    locale: str
    state: str | None = None
    nonce: str | None = None
    code_challenge: str | None = None
    claims: Mapping[str, Any] | None = None
    required_sub: str | None = None
    login_hint: str | None = None
    consent: ConsentAsked | None = None  # of a partner; of nobody else a customer is asked

    def to_store(self) -> dict[str, Any]:
        """As the store keeps it."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        # `omit_defaults` leaves out every None; these two are false as often as not and needed.
        return {"offline": self.offline, "refresh": self.refresh} | plain

    @classmethod
    def from_store(cls, request: Mapping[str, Any]) -> "AuthorizationRequest":
        """As it came back from the store."""
        return msgspec.convert(request, cls)


class AuthorizationResponse(msgspec.Struct, frozen=True):
    """What goes back to a proven redirect URI, and how."""

    redirect_uri: str
    response_mode: ResponseMode
    parameters: Mapping[str, str]


def respond(
    request: AuthorizationRequest, issuer: str, parameters: Mapping[str, str]
) -> AuthorizationResponse:
    """A response with `state` and the `iss` of RFC 9207."""
    members = dict(parameters)
    if request.state is not None:
        members["state"] = request.state
    members["iss"] = issuer
    return AuthorizationResponse(request.redirect_uri, request.response_mode, members)


def respond_error(
    request: AuthorizationRequest, issuer: str, error: OAuthError
) -> AuthorizationResponse:
    """An error response (RFC 6749 4.1.2.1)."""
    return respond(request, issuer, error.parameters())
