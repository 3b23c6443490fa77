"""Judging client metadata (RFC 7591 2, OpenID Connect Registration 2)."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from flows.client_metadata import (
    OPERATORS_MEMBERS,
    PROTECTED_RESPONSES,
    ClientMetadata,
    InvalidClientMetadata,
    Uri,
)
from flows.client_rules import Fault, faults_of
from flows.grants.names import AUTHORIZATION_CODE
from flows.uris import web_uri_fault
from keys.encryption import CONTENT_ENCRYPTION

_MOST_BYTES = 65_536
# Of these there may be thousands in memory.
_MOST_BYTES_OF_PARTNERS = 16_384
_MOST_LEVELS = 16  # of nesting
_TRANSLATED = ("client_name", "client_uri", "logo_uri", "policy_uri", "tos_uri")
_MOST_TRANSLATIONS = 50
# RFC 5646 2.1, as far as a form needs it.
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
# Printable, as Unicode has it, and yet nothing to see.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\ufe00-\ufe0f\uffa0]")
_MOST_MARKS = 2  # over one letter: Vietnamese has so many
_SHOWN_TO_PEOPLE = ("client_name", "contacts", "software_id", "software_version")


class _Unkept(msgspec.Struct, frozen=True):
    """Members that we know and do nothing for."""

    request_uris: tuple[str, ...] = ()
    request_object_signing_alg: str | None = None
    request_object_encryption_alg: str | None = None
    request_object_encryption_enc: str | None = None
    require_signed_request_object: bool = False
    frontchannel_logout_uri: Uri | None = None
    frontchannel_logout_session_required: bool = False
    backchannel_logout_uri: Uri | None = None
    backchannel_logout_session_required: bool = False


_REQUEST_OBJECTS = tuple(it for it in _Unkept.__struct_fields__ if "request" in it)
_TYPES = {
    field.name: field.type
    for struct in (ClientMetadata, _Unkept)
    for field in msgspec.structs.fields(struct)
    if field.name != "translations"
}
_DEFAULTS = msgspec.structs.asdict(ClientMetadata())


def validate(
    metadata: Mapping[str, Any],
    *,
    algorithms: Collection[str],
    development: bool,
    unknown: Literal["refused", "ignored"] = "refused",
    ours: Mapping[str, Any] = MappingProxyType({}),
) -> ClientMetadata:
    """Metadata with defaults, checked member by member and together.

    `algorithms` are those that we sign with. In development, plain http to loopback is allowed.
    `unknown` says what becomes of members without a meaning here: somebody who writes a file wants
    to hear of them, while RFC 7591 2 has a registration ignore them; likewise of logout URIs, which
    nothing is sent to yet. There, what only operators may say is a fault, unless it is what is in
    `ours` anyway. A member that is null counts as left out. Raises InvalidClientMetadata with
    every fault.
    """
    _check_size(metadata, _MOST_BYTES if unknown == "refused" else _MOST_BYTES_OF_PARTNERS)
    given = {name: value for name, value in metadata.items() if value is not None}
    tagged = {name: given.pop(name) for name in list(given) if _untagged(name) in _TRANSLATED}
    given = {**ours, **given}
    _add_defaults(given)
    members, type_faults = _converted(given)
    unkept = {name: members.pop(name) for name in _Unkept.__struct_fields__ if name in members}
    translations, tag_faults = _translations(tagged)
    client = ClientMetadata(**members, translations=translations)
    faults = _coded(
        [
            *(_meaningless(given) if unknown == "refused" else _operators(client, ours)),
            *type_faults,
            *tag_faults,
            *_unkept_faults(_Unkept(**unkept), development=development),
            *_unreadable(client),
        ]
    )
    if not type_faults:
        faults += faults_of(client, algorithms=algorithms, development=development)
    if faults:
        raise InvalidClientMetadata(faults)
    return client


def _invalid(description: str) -> InvalidClientMetadata:
    return InvalidClientMetadata([("invalid_client_metadata", description)])


def _coded(descriptions: Iterable[str]) -> list[Fault]:
    return [("invalid_client_metadata", description) for description in descriptions]


def _check_size(metadata: Mapping[str, Any], most: int) -> None:
    if not _is_shallow(metadata, _MOST_LEVELS):
        raise _invalid(f"the metadata are nested deeper than {_MOST_LEVELS} levels")
    try:
        length = len(msgspec.json.encode(metadata))
    except (TypeError, ValueError, OverflowError):
        raise _invalid("the metadata are not JSON") from None
    if length > most:
        raise _invalid(f"the metadata are longer than {most} bytes")


def _is_shallow(value: object, levels: int) -> bool:
    inner: Iterable[object] = ()
    if isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, list | tuple):
        inner = value
    return levels > 0 and all(_is_shallow(it, levels - 1) for it in inner)


def _add_defaults(given: dict[str, Any]) -> None:
    """Add the defaults that depend on another member."""
    grant_types = given.get("grant_types")
    if isinstance(grant_types, list | tuple) and AUTHORIZATION_CODE not in grant_types:
        given.setdefault("response_types", ())
    for response in PROTECTED_RESPONSES:
        if given.get(f"{response}_encrypted_response_alg") is not None:
            # OpenID Connect Registration 2
            given.setdefault(f"{response}_encrypted_response_enc", CONTENT_ENCRYPTION[0])


def _meaningless(given: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(given):
        if name not in _TYPES:
            yield f"{name}: is not a known member"
        elif "channel_logout_" in name and given[name]:
            yield f"{name}: is not supported: clients are not told of a logout yet"


def _operators(client: ClientMetadata, ours: Mapping[str, Any]) -> Iterator[str]:
    for name in OPERATORS_MEMBERS:
        # It may be there: RFC 7592 2.2 has a client send back what it was told.
        if getattr(client, name) != ours.get(name, _DEFAULTS[name]):
            yield f"{name}: is for our operators to set"


def _converted(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The members that we know as their types have them, and what is wrong with the others."""
    members, faults = {}, []
    for name in _TYPES.keys() & given.keys():
        try:
            members[name] = msgspec.convert(given[name], _TYPES[name])
        except msgspec.ValidationError as error:
            faults.append(f"{name}: {str(error).partition(' - at ')[0]}")
    return members, sorted(faults)


# Language tags (RFC 7591 2.2)


def _untagged(name: str) -> str | None:
    member, hash_sign, _ = name.partition("#")
    return member if hash_sign else None


def _translations(tagged: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    found: dict[str, str] = {}
    faults = []
    if len(tagged) > _MOST_TRANSLATIONS:
        return found, [f"there are more than {_MOST_TRANSLATIONS} members with a language tag"]
    for name, value in sorted(tagged.items()):
        member, _, tag = name.partition("#")
        full_name = f"{member}#{tag.lower()}"
        if not _LANGUAGE_TAG.fullmatch(tag):
            faults.append(f"{name}: its language tag is malformed")
        elif full_name in found:
            faults.append(f"{name}: is there more than once")
        else:
            try:
                found[full_name] = msgspec.convert(value, _TYPES[member]) or ""
            except msgspec.ValidationError as error:
                faults.append(f"{name}: {error}")
    return found, faults


def _stacks(text: str) -> bool:
    marks = 0
    for character in unicodedata.normalize("NFC", text):
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MOST_MARKS:
            return True
    return False


def _unreadable(client: ClientMetadata) -> Iterator[str]:
    texts = [(name, getattr(client, name)) for name in _SHOWN_TO_PEOPLE]
    texts += [it for it in client.translations.items() if it[0].startswith("client_name#")]
    for name, value in texts:
        for text in value if isinstance(value, tuple) else (value or "",):
            # Controls would reverse or hide what stands beside it.
            if not text.isprintable() or text != text.strip() or _UNSEEN.search(text):
                yield f"{name}: must be printable, and neither begin nor end with a space"
            elif text and not any(it.isalnum() for it in text):
                yield f"{name}: must have a letter or a digit"
            elif _stacks(text):
                yield f"{name}: must not have more than two marks over one letter"


# What we do nothing for


def _unkept_faults(unkept: _Unkept, *, development: bool) -> Iterator[str]:
    for name in _REQUEST_OBJECTS:
        if getattr(unkept, name):
            # To ignore it would promise what the first authorization request could not keep.
            yield f"{name}: request objects are not supported"
    for name in ("frontchannel_logout_uri", "backchannel_logout_uri"):
        uri = getattr(unkept, name)
        fault = uri and web_uri_fault(uri, development=development)
        if fault:
            yield f"{name}: {fault}: {uri}"
