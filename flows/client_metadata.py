"""Client metadata (RFC 7591 2, OpenID Connect Registration 2): its defaults, and its validator."""

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, urlsplit

import msgspec

from flows.claims import OPENID, SCOPES
from flows.grants.names import AUTHORIZATION_CODE, GRANT_TYPES, PHONE_OTP, REFRESH_TOKEN
from keys.encryption import CONTENT_ENCRYPTION, KEY_MANAGEMENT, RecipientKeys
from keys.errors import NoEncryptionKey, UnusableKey

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post"]
AUTH_METHODS: tuple[AuthMethod, ...] = ("none", "client_secret_basic", "client_secret_post")
ProtectedResponse = Literal["id_token", "userinfo"]
_RESPONSES: tuple[ProtectedResponse, ...] = ("id_token", "userinfo")
_REFUSED_SCHEMES = frozenset(
    {"about", "blob", "data", "file", "filesystem", "javascript", "vbscript"}
)
_SCHEME_OF_APP = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+", re.IGNORECASE)
# It will stand in a Content-Security-Policy.
_HOST = re.compile(r"[A-Za-z0-9.-]+|[0-9A-Fa-f:.]+")
_URI_CHARACTERS = re.compile(r"[\x21-\x7e]+")


class Protection(NamedTuple):
    """How the client's ID tokens, or its userinfo, are signed and encrypted."""

    signed_response_alg: str | None
    encrypted_response_alg: str | None
    encrypted_response_enc: str | None


class ClientMetadata(msgspec.Struct, frozen=True):
    """A client's metadata with every default in place.

    `refresh_token_policy` is ours: `always` issues a refresh token without `offline_access` too,
    which then ends with its session.
    """

    client_name: str = ""
    application_type: Literal["web", "native"] = "web"
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = (AUTHORIZATION_CODE,)
    response_types: tuple[str, ...] = ("code",)
    scope: str = " ".join(SCOPES)
    token_endpoint_auth_method: AuthMethod = "client_secret_basic"
    id_token_signed_response_alg: str = "RS256"
    id_token_encrypted_response_alg: str | None = None
    id_token_encrypted_response_enc: str | None = None
    userinfo_signed_response_alg: str | None = None
    userinfo_encrypted_response_alg: str | None = None
    userinfo_encrypted_response_enc: str | None = None
    jwks: dict[str, Any] | None = None
    refresh_token_policy: Literal["always", "offline_access"] = "offline_access"

    def protection(self, response: ProtectedResponse) -> Protection:
        """How a response is protected for this client."""
        return Protection(*(getattr(self, f"{response}_{name}") for name in Protection._fields))


class InvalidClientMetadata(Exception):
    """Metadata that cannot be accepted; `error` is RFC 7591 3.2.2's code for each fault."""

    def __init__(self, faults: tuple[tuple[str, str], ...]) -> None:
        super().__init__("; ".join(description for _, description in faults))
        self.faults = faults


def validate(
    metadata: Mapping[str, Any], *, algorithms: Collection[str], development: bool
) -> ClientMetadata:
    """Metadata with defaults, checked field by field and together.

    `algorithms` are those that we sign with. In development, web clients may redirect to plain
    http on loopback. Raises InvalidClientMetadata with every fault.
    """
    unknown = sorted(set(metadata) - set(ClientMetadata.__struct_fields__))
    if unknown:
        raise _invalid(*(f"{name}: is not a known member" for name in unknown))
    given = dict(metadata)
    if given.get("grant_types") and AUTHORIZATION_CODE not in given["grant_types"]:
        given.setdefault("response_types", ())
    for response in _RESPONSES:
        if given.get(f"{response}_encrypted_response_alg") is not None:
            # OpenID Connect Registration 2
            given.setdefault(f"{response}_encrypted_response_enc", CONTENT_ENCRYPTION[0])
    try:
        client = msgspec.convert(given, ClientMetadata)
    except msgspec.ValidationError as error:
        raise _invalid(str(error).replace(" - at `$.", ": ").rstrip("`")) from error
    faults = [("invalid_client_metadata", fault) for fault in _inconsistencies(client)]
    faults += [("invalid_client_metadata", fault) for fault in _jwt_faults(client, algorithms)]
    for name in ("redirect_uris", "post_logout_redirect_uris"):
        code = "invalid_redirect_uri" if name == "redirect_uris" else "invalid_client_metadata"
        for uri in getattr(client, name):
            fault = _redirect_uri_fault(uri, client, development=development)
            if fault:
                faults.append((code, f"{name}: {fault}: {uri}"))
    if faults:
        raise InvalidClientMetadata(tuple(faults))
    return client


def _invalid(*descriptions: str) -> InvalidClientMetadata:
    return InvalidClientMetadata(tuple(("invalid_client_metadata", it) for it in descriptions))


def _inconsistencies(client: ClientMetadata) -> list[str]:
    scopes = client.scope.split()
    uses_code = AUTHORIZATION_CODE in client.grant_types
    faults = [
        f"{member}: {value} is not supported"
        for member, values, known in (
            ("grant_types", client.grant_types, GRANT_TYPES),
            ("response_types", client.response_types, ("code",)),
            ("scope", scopes, SCOPES),
        )
        for value in values
        if value not in known
    ]
    rules = (
        # RFC 7591 2.1: grant and response types belong together.
        (
            uses_code == ("code" in client.response_types),
            "response_types: code goes with the grant type authorization_code",
        ),
        (
            bool(client.redirect_uris) or not uses_code,
            "redirect_uris: is required for the grant type authorization_code",
        ),
        (
            client.grant_types != (REFRESH_TOKEN,),
            "grant_types: refresh_token needs a grant type that begins a grant",
        ),
        (
            PHONE_OTP not in client.grant_types or client.token_endpoint_auth_method != "none",
            "token_endpoint_auth_method: the phone grant is for confidential clients",
        ),
        (OPENID in scopes, "scope: openid is required"),
    )
    return faults + [fault for kept, fault in rules if not kept]


def _jwt_faults(client: ClientMetadata, algorithms: Collection[str]) -> Iterator[str]:
    try:
        keys = RecipientKeys({"keys": []} if client.jwks is None else client.jwks)
    except UnusableKey as error:
        yield f"jwks: {error}"
        keys = None
    for response in _RESPONSES:
        protection = client.protection(response)
        known = (algorithms, KEY_MANAGEMENT, CONTENT_ENCRYPTION)
        for name, value, values in zip(Protection._fields, protection, known, strict=True):
            if value is not None and value not in values:
                yield f"{response}_{name}: {value} is not supported"
        _, alg, enc = protection
        if alg is None and enc is not None:
            # OpenID Connect Registration 2
            yield f"{response}_encrypted_response_enc: needs {response}_encrypted_response_alg"
        if keys is not None and alg in KEY_MANAGEMENT and enc in CONTENT_ENCRYPTION:
            try:
                keys.encrypt(b"", alg=alg, enc=enc)
            except NoEncryptionKey as error:
                yield f"{response}_encrypted_response_alg: of jwks, {error}"


def _redirect_uri_fault(uri: str, client: ClientMetadata, *, development: bool) -> str | None:
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - reading it is what finds a bad port
    except ValueError:
        return "is not a URI"
    if not _URI_CHARACTERS.fullmatch(uri) or not parts.scheme:
        return "is not an absolute URI"
    if "#" in uri:
        return "must have no fragment"
    if parts.username is not None or parts.password is not None:
        return "must have no user information"
    if parts.scheme == "https":
        return None if _HOST.fullmatch(parts.hostname or "") else "must name a host"
    if parts.scheme == "http":
        return _plain_http_fault(parts, client, development=development)
    if client.application_type == "web":
        return "must be https"
    if parts.scheme in _REFUSED_SCHEMES or not _SCHEME_OF_APP.fullmatch(parts.scheme):
        return "needs a scheme in reverse domain notation (RFC 8252 7.1)"
    return None


def _plain_http_fault(
    parts: SplitResult, client: ClientMetadata, *, development: bool
) -> str | None:
    if client.application_type == "native":
        # RFC 8252 7.3 and 8.3: the literal, because `localhost` may resolve to something else.
        return (
            None
            if is_loopback_literal(parts.hostname)
            else "must be https or a loopback IP literal"
        )
    loopback = is_loopback_literal(parts.hostname) or parts.hostname == "localhost"
    return None if development and loopback else "must be https"


def is_loopback_literal(host: str | None) -> bool:
    """Whether `host` is an IP literal of this very machine."""
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
