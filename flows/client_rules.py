"""What a client's metadata must be together, and what of them we support."""

from collections.abc import Collection, Iterator

from flows.claims import OPENID, SCOPE_SYNTAX, SCOPES
from flows.client_metadata import AUTH_SIGNING_ALGS, PROTECTED_RESPONSES, ClientMetadata, Protection
from flows.grants.names import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    GRANT_TYPES,
    PHONE_OTP,
    REFRESH_TOKEN,
)
from flows.uris import redirect_uri_fault, resource_fault, web_uri_fault
from keys.encryption import CONTENT_ENCRYPTION, KEY_MANAGEMENT, RecipientKeys
from keys.errors import NoEncryptionKey, UnusableKey

_CUSTOMERS_GRANTS = frozenset({AUTHORIZATION_CODE, PHONE_OTP})
_PAGES = ("client_uri", "logo_uri", "policy_uri", "tos_uri")
FETCHED = ("jwks_uri", "sector_identifier_uri")
"""What the server fetches, from wherever a client says."""

Fault = tuple[str, str]
"""An error code of RFC 7591 3.2.2, and a description that begins with the member's name."""


def faults_of(
    client: ClientMetadata, *, algorithms: Collection[str], development: bool
) -> Iterator[Fault]:
    """Every fault of metadata whose members have the right types."""
    for rule in (_support, _grants, _services, _subjects, _authentication):
        for description in rule(client):
            yield "invalid_client_metadata", description
    for description in _protections(client, algorithms):
        yield "invalid_client_metadata", description
    yield from _uris(client, development=development)


def _support(client: ClientMetadata) -> Iterator[str]:
    for member, values, known in (
        ("grant_types", client.grant_types, GRANT_TYPES),
        ("response_types", client.response_types, ("code",)),
        ("scope", client.scope.split(), SCOPES),
    ):
        for value in values:
            if value not in known:
                yield f"{member}: {value} is not supported"


def _grants(client: ClientMetadata) -> Iterator[str]:
    uses_code = AUTHORIZATION_CODE in client.grant_types
    if uses_code != ("code" in client.response_types):
        # RFC 7591 2.1: grant and response types belong together.
        yield "response_types: code goes with the grant type authorization_code"
    if uses_code and not client.redirect_uris:
        yield "redirect_uris: is required for the grant type authorization_code"
    if set(client.grant_types) == {REFRESH_TOKEN}:
        yield "grant_types: refresh_token needs a grant type that begins a grant"
    if PHONE_OTP in client.grant_types and client.token_endpoint_auth_method == "none":
        yield "token_endpoint_auth_method: the phone grant is for confidential clients"
    if client.first_party_native and not (uses_code and client.application_type == "native"):
        # OAuth 2.0 for First-Party Applications 9.8: not for what runs in a browser.
        yield "first_party_native: is for native applications with authorization_code"
    if _CUSTOMERS_GRANTS & set(client.grant_types) and OPENID not in client.scope.split():
        yield "scope: openid is required"


def _services(client: ClientMetadata) -> Iterator[str]:
    scopes = client.service_scope.split()
    asks = CLIENT_CREDENTIALS in client.grant_types
    if asks and client.token_endpoint_auth_method == "none":
        # RFC 6749 4.4
        yield "token_endpoint_auth_method: client_credentials is for confidential clients"
    if asks != bool(scopes):
        yield "service_scope: goes with the grant type client_credentials"
    if scopes and not SCOPE_SYNTAX.fullmatch(client.service_scope):
        yield "service_scope: is malformed"
    for scope in scopes:
        if scope in SCOPES:
            yield f"service_scope: {scope} is about customers"
    if client.resource is not None and client.token_endpoint_auth_method == "none":
        yield "resource: is for confidential clients"
    for name, uris in (("resource", (client.resource,)), ("resources", client.resources)):
        for uri in uris:
            fault = uri and resource_fault(uri)
            if fault:
                yield f"{name}: {fault}: {uri}"


def _subjects(client: ClientMetadata) -> Iterator[str]:
    if not client.redirect_uris and client.sector_identifier_uri is not None:
        # With nothing to list, its owner could not say who belongs to the sector.
        yield "sector_identifier_uri: is for redirect_uris, of which there are none"
    if client.redirect_uris and client.subject_type == "pairwise" and client.sector is None:
        # OpenID Connect Core 8.1
        yield (
            "sector_identifier_uri: is required for pairwise subjects, unless all redirect_uris "
            "have one host of their own"
        )


def _authentication(client: ClientMetadata) -> Iterator[str]:
    method, alg = client.token_endpoint_auth_method, client.token_endpoint_auth_signing_alg
    if alg is not None and method not in AUTH_SIGNING_ALGS:
        yield f"token_endpoint_auth_signing_alg: {method} signs nothing"
    elif alg is not None and alg not in AUTH_SIGNING_ALGS[method]:
        yield f"token_endpoint_auth_signing_alg: {alg} is not supported for {method}"
    if client.jwks is not None and client.jwks_uri is not None:
        yield "jwks_uri: must not be there together with jwks"
    if method == "private_key_jwt" and client.jwks is None and client.jwks_uri is None:
        yield "jwks_uri: it or jwks is required for private_key_jwt"


def _protections(client: ClientMetadata, algorithms: Collection[str]) -> Iterator[str]:
    try:
        keys = RecipientKeys({"keys": []} if client.jwks is None else client.jwks)
    except UnusableKey as error:
        yield f"jwks: {error}"
        keys = None
    for response in PROTECTED_RESPONSES:
        protection = client.protection(response)
        known = (algorithms, KEY_MANAGEMENT, CONTENT_ENCRYPTION)
        for name, value, values in zip(Protection._fields, protection, known, strict=True):
            if value is not None and value not in values:
                yield f"{response}_{name}: {value} is not supported"
        _, alg, enc = protection
        if alg is None and enc is not None:
            # OpenID Connect Registration 2
            yield f"{response}_encrypted_response_enc: needs {response}_encrypted_response_alg"
        # What `jwks_uri` holds is known when it is fetched, which is when it is needed.
        if keys is None or client.jwks_uri is not None:
            continue
        if alg in KEY_MANAGEMENT and enc in CONTENT_ENCRYPTION:
            try:
                keys.encrypt(b"", alg=alg, enc=enc)
            except NoEncryptionKey as error:
                yield f"{response}_encrypted_response_alg: of jwks, {error}"


def _uris(client: ClientMetadata, *, development: bool) -> Iterator[Fault]:
    for name, code in (
        ("redirect_uris", "invalid_redirect_uri"),
        ("post_logout_redirect_uris", "invalid_client_metadata"),
    ):
        for uri in getattr(client, name):
            fault = redirect_uri_fault(uri, client.application_type, development=development)
            if fault is not None:
                yield code, f"{name}: {fault}: {uri}"
    named = {name: getattr(client, name) for name in (*_PAGES, *FETCHED, "initiate_login_uri")}
    translated = {
        name: uri for name, uri in client.translations.items() if name.partition("#")[0] in _PAGES
    }
    for name, uri in (named | translated).items():
        if uri is None:
            continue
        fault = web_uri_fault(uri, development=development)
        if fault is None and name in FETCHED and "#" in uri:
            fault = "must have no fragment"
        if fault is not None:
            yield "invalid_client_metadata", f"{name}: {fault}: {uri}"
