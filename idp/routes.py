"""The endpoint table: routing, CORS, the style of errors and discovery all come from it."""

from collections.abc import Sequence
from dataclasses import dataclass

from flows.client_assertions import TOKEN_PATH
from flows.registration import PATH as REGISTRATION_PATH
from idp.endpoints import (
    authorization,
    channel,
    consent,
    discovery,
    health,
    inbox,
    interaction,
    logout,
    receipts,
    registration,
)
from idp.endpoints import tokens as t
from idp.errors import Handler, Style

_GET = ("GET",)
_POST = ("POST",)
_BOTH = ("GET", "POST")
_PUT = ("PUT",)
_DELETE = ("DELETE",)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row: `metadata` is its name in discovery, `cors` lets browsers of any origin call it."""

    path: str
    methods: tuple[str, ...]
    handler: Handler
    metadata: str | None = None
    cors: bool = False
    errors: Style = "page"


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("/.well-known/openid-configuration", _GET, discovery.configuration, None, True, "json"),
    Endpoint("/.well-known/oauth-authorization-server", _GET, discovery.configuration, None, True, "json"),
    Endpoint("/jwks", _GET, discovery.jwks, "jwks_uri", True, "json"),
    Endpoint("/authorize", _BOTH, authorization.authorization, "authorization_endpoint"),
    Endpoint(authorization.CONTINUE_PATH, _GET, authorization.continuation),
    Endpoint(TOKEN_PATH, _POST, t.token, "token_endpoint", True, "json"),
    Endpoint("/authorize-challenge", _POST, t.challenge, "authorization_challenge_endpoint", False, "json"),
    Endpoint("/otp", _POST, t.otp, "phone_otp_endpoint", False, "json"),
    Endpoint("/introspect", _POST, t.introspection, "introspection_endpoint", False, "json"),
    Endpoint("/revoke", _POST, t.revocation, "revocation_endpoint", True, "json"),
    Endpoint("/userinfo", _BOTH, t.userinfo, "userinfo_endpoint", True, "bearer"),
    Endpoint(REGISTRATION_PATH, _POST, registration.register, "registration_endpoint", True, "bearer"),
    Endpoint(f"{REGISTRATION_PATH}/{{client_id}}", _GET, registration.read, None, True, "bearer"),
    Endpoint(f"{REGISTRATION_PATH}/{{client_id}}", _PUT, registration.update, None, True, "bearer"),
    Endpoint(f"{REGISTRATION_PATH}/{{client_id}}", _DELETE, registration.delete, None, True, "bearer"),
    Endpoint("/logout", _BOTH, logout.logout, "end_session_endpoint"),
    Endpoint(logout.CONFIRM_PATH, _POST, logout.confirm),
    Endpoint("/interaction/{interaction_id}/phone", _GET, interaction.phone_page),
    Endpoint("/interaction/{interaction_id}/phone", _POST, interaction.phone_submit),
    Endpoint("/interaction/{interaction_id}/code", _GET, interaction.code_page),
    Endpoint("/interaction/{interaction_id}/code", _POST, interaction.code_submit),
    Endpoint("/interaction/{interaction_id}/resend", _POST, interaction.resend),
    Endpoint("/interaction/{interaction_id}/delivery", _GET, interaction.delivery, errors="json"),
    Endpoint("/interaction/{interaction_id}/profile", _GET, interaction.profile_page),
    Endpoint("/interaction/{interaction_id}/profile", _POST, interaction.profile_submit),
    Endpoint("/interaction/{interaction_id}/consent", _GET, consent.consent_page),
    Endpoint("/interaction/{interaction_id}/consent", _POST, consent.consent_submit),
    Endpoint("/interaction/{interaction_id}/blocked", _GET, interaction.blocked_page),
    Endpoint("/interaction/{interaction_id}/cancel", _POST, interaction.cancel),
    Endpoint("/channels/{channel_id}/logo.svg", _GET, channel.logo),
    Endpoint("/channels/{channel_id}/favicon.svg", _GET, channel.favicon),
    Endpoint("/clients/{client_id}/logo", _GET, channel.partner_logo),
    Endpoint("/.well-known/assetlinks.json", _GET, channel.android_apps, errors="json"),
    Endpoint("/.well-known/apple-app-site-association", _GET, channel.ios_apps, errors="json"),
    Endpoint(consent.PARTNERS_PATH, _GET, consent.partners_page),
    Endpoint(consent.WITHDRAW_PATH, _POST, consent.withdraw),
    Endpoint("/messages/{provider_id}/receipt", _BOTH, receipts.receipt, errors="json"),
    Endpoint("/livez", _GET, health.livez, errors="json"),
    Endpoint("/readyz", _GET, health.readyz, errors="json"),
)  # fmt: skip

DEVELOPMENT_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("/dev/inbox", _GET, inbox.inbox_page),
    Endpoint("/dev/inbox.json", _GET, inbox.inbox_json, errors="json"),
)


def metadata(endpoints: Sequence[Endpoint]) -> dict[str, str]:
    """Each endpoint's path by its name in discovery."""
    return {row.metadata: row.path for row in endpoints if row.metadata is not None}
