"""Client metadata (RFC 7591 2, OpenID Connect Registration 2): its members and their defaults."""

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

import msgspec

from flows.claims import SCOPES
from flows.grants.names import AUTHORIZATION_CODE
from flows.uris import is_loopback_literal
from keys.assertions import MAC_ALGORITHM
from keys.signing import ALGORITHMS

AuthMethod = Literal[
    "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"
]
AUTH_METHODS: tuple[AuthMethod, ...] = get_args(AuthMethod)
AUTH_SIGNING_ALGS: dict[AuthMethod, tuple[str, ...]] = {
    "client_secret_jwt": (MAC_ALGORITHM,),
    "private_key_jwt": ALGORITHMS,
}
"""What a client may sign its assertions with, by its method; the others sign nothing."""

SubjectType = Literal["public", "pairwise"]
SUBJECT_TYPES: tuple[SubjectType, ...] = get_args(SubjectType)

ProtectedResponse = Literal["id_token", "userinfo"]
PROTECTED_RESPONSES: tuple[ProtectedResponse, ...] = get_args(ProtectedResponse)

# One client of 10,000 in memory may weigh a few kilobytes, and a URL is at most what browsers take.
Uri = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
_Uris = Annotated[tuple[Uri, ...], msgspec.Meta(max_length=50)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_Names = Annotated[tuple[_Name, ...], msgspec.Meta(max_length=20)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, le=10**9)]

_UNSHOWN = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_MOST_SHOWN = 200
# What a registration's answer has even when it is empty, since leaving it out means the default.
_ALWAYS_REGISTERED = frozenset({"grant_types", "response_types", "redirect_uris"})

OPERATORS_MEMBERS = (
    "first_party_native",
    "refresh_token_policy",
    "resource",
    "resources",
    "service_scope",
)
"""What nobody may say of a client who only registers it."""


class Protection(NamedTuple):
    """How the client's ID tokens, or its userinfo, are signed and encrypted."""

    signed_response_alg: str | None
    encrypted_response_alg: str | None
    encrypted_response_enc: str | None


class ClientMetadata(msgspec.Struct, frozen=True):
    """A client's metadata with every default in place.

    `translations` has the members with a language tag, by their full name (`client_name#ru`), the
    tag in lower case. Five are ours, for an operator to set: `first_party_native` lets an app of
    ours sign customers in without a browser; `refresh_token_policy` `always` issues a refresh
    token without `offline_access` too, which then ends with its session; `resource` is the
    identifier under which the client itself is a protected resource, `resources` those that its
    tokens may be for (RFC 8707), `service_scope` what it may ask for in its own name.
    """

    client_name: Annotated[str, msgspec.Meta(max_length=100)] = ""
    client_uri: Uri | None = None
    logo_uri: Uri | None = None
    policy_uri: Uri | None = None
    tos_uri: Uri | None = None
    translations: dict[str, str] = {}
    contacts: _Names = ()
    application_type: Literal["web", "native"] = "web"
    redirect_uris: _Uris = ()
    post_logout_redirect_uris: _Uris = ()
    initiate_login_uri: Uri | None = None
    grant_types: _Names = (AUTHORIZATION_CODE,)
    response_types: _Names = ("code",)
    scope: Annotated[str, msgspec.Meta(max_length=1_000)] = " ".join(SCOPES)
    subject_type: SubjectType = "public"
    sector_identifier_uri: Uri | None = None
    token_endpoint_auth_method: AuthMethod = "client_secret_basic"
    token_endpoint_auth_signing_alg: str | None = None
    id_token_signed_response_alg: str = "RS256"
    id_token_encrypted_response_alg: str | None = None
    id_token_encrypted_response_enc: str | None = None
    userinfo_signed_response_alg: str | None = None
    userinfo_encrypted_response_alg: str | None = None
    userinfo_encrypted_response_enc: str | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: Uri | None = None
    default_max_age: _Seconds | None = None
    require_auth_time: bool = False
    default_acr_values: _Names = ()
    software_id: _Name | None = None
    software_version: _Name | None = None
    first_party_native: bool = False
    refresh_token_policy: Literal["always", "offline_access"] = "offline_access"
    resource: Uri | None = None
    resources: _Uris = ()
    service_scope: Annotated[str, msgspec.Meta(max_length=1_000)] = ""

    def protection(self, response: ProtectedResponse) -> Protection:
        """How a response is protected for this client."""
        if response == "id_token":
            return Protection(
                self.id_token_signed_response_alg,
                self.id_token_encrypted_response_alg,
                self.id_token_encrypted_response_enc,
            )
        return Protection(
            self.userinfo_signed_response_alg,
            self.userinfo_encrypted_response_alg,
            self.userinfo_encrypted_response_enc,
        )

    def in_language(self, member: str, locale: str) -> str | None:
        """The value of a human-readable member for somebody who reads `locale` (RFC 7591 2.2).

        In a language that is not asked for rather than not at all.
        """
        tagged = {
            name.partition("#")[2]: value
            for name, value in self.translations.items()
            if name.startswith(f"{member}#")
        }
        plain: str | None = getattr(self, member) or None
        fitting = (text for tag, text in sorted(tagged.items()) if tag.split("-")[0] == locale)
        return (
            tagged.get(locale) or next(fitting, None) or plain or next(iter(tagged.values()), None)
        )

    @property
    def sector(self) -> str | None:
        """The sector identifier (OpenID Connect Core 8.1): None if the metadata do not name one."""
        try:
            if self.sector_identifier_uri is not None:
                return urlsplit(self.sector_identifier_uri).hostname
            parts = [urlsplit(uri) for uri in self.redirect_uris]
        except ValueError:
            return None
        hosts = {part.hostname for part in parts}
        # An app's own scheme names no host, and a loopback literal every machine.
        if len(hosts) != 1 or any(
            part.scheme not in ("https", "http") or is_loopback_literal(part.hostname)
            for part in parts
        ):
            return None
        return hosts.pop()

    def registered(self) -> dict[str, Any]:
        """The metadata in the words of RFC 7591, as a registration's answer has them."""
        members: dict[str, Any] = msgspec.to_builtins(self)
        translations: dict[str, str] = members.pop("translations")
        return translations | {
            name: value
            for name, value in members.items()
            if value not in (None, "", ()) or name in _ALWAYS_REGISTERED
        }


class InvalidClientMetadata(Exception):
    """Metadata that cannot be accepted; `faults` has RFC 7591 3.2.2's code for each description.

    A description may stand in an answer: it is short, and in the characters of RFC 6749 5.2,
    whatever it quotes.
    """

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = tuple((code, _shown(description)) for code, description in faults)
        super().__init__("; ".join(description for _, description in self.faults))


def _shown(description: str) -> str:
    text = _UNSHOWN.sub("?", description)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
