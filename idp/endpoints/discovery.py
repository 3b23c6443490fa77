"""Discovery and JWKS: computed from the tables, so that they cannot lie."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flows.authorize import ACR_VALUES, DISPLAYS, PROMPTS
from flows.claims import CLAIMS, SCOPES
from flows.client_metadata import AUTH_METHODS, AUTH_SIGNING_ALGS, SUBJECT_TYPES
from flows.grants.table import GRANTS
from flows.provider import Provider
from flows.requests import RESPONSE_MODES
from idp import http
from keys.encryption import CONTENT_ENCRYPTION, KEY_MANAGEMENT

_KEPT = 300  # seconds
_PROTOCOL_CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid")


async def configuration(request: Request) -> Response:
    """OpenID Connect Discovery 4 and RFC 8414 3."""
    provider = http.site(request).provider
    return http.public_json(metadata(provider, request.app.state.endpoints), _KEPT)


async def jwks(request: Request) -> Response:
    """RFC 7517 5."""
    provider = http.site(request).provider
    return http.public_json(provider.keys.jwks(), provider.settings.keys.jwks_max_age)


def metadata(provider: Provider, endpoints: dict[str, str]) -> dict[str, Any]:
    """The provider's metadata; `endpoints` has each endpoint's path by its metadata name."""
    return {
        "issuer": provider.issuer,
        **{name: provider.issuer + path for name, path in endpoints.items()},
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": list(GRANTS),
        "subject_types_supported": list(SUBJECT_TYPES),
        **_response_jwts(provider.keys.algorithms()),
        **_client_authentication(endpoints),
        "code_challenge_methods_supported": ["S256"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*_PROTOCOL_CLAIMS, *(claim.name for claim in CLAIMS)],
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
        "acr_values_supported": list(ACR_VALUES),
        "prompt_values_supported": list(PROMPTS),
        "display_values_supported": list(DISPLAYS),
        "ui_locales_supported": ["ru", "en"],
    }


def _client_authentication(endpoints: dict[str, str]) -> dict[str, list[str]]:
    algorithms = [alg for algs in AUTH_SIGNING_ALGS.values() for alg in algs]
    return {
        f"{endpoint}_auth_{what}_supported": list(values)
        for endpoint in ("token_endpoint", "revocation_endpoint", "introspection_endpoint")
        if endpoint in endpoints
        for what, values in (("methods", AUTH_METHODS), ("signing_alg_values", algorithms))
    }


def _response_jwts(algorithms: tuple[str, ...]) -> dict[str, list[str]]:
    return {
        f"{response}_{what}_values_supported": list(values)
        for response in ("id_token", "userinfo")
        for what, values in (
            ("signing_alg", algorithms),
            ("encryption_alg", KEY_MANAGEMENT),
            ("encryption_enc", CONTENT_ENCRYPTION),
        )
    }
