"""What partners' clients may be registered for, and what never."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from flows.client_metadata import ClientMetadata
from flows.client_rules import Fault
from flows.clients import RegistrationPolicy
from flows.grants.names import CLIENT_CREDENTIALS, GRANT_TYPES, PHONE_OTP

PARTNERS_GRANT_TYPES = tuple(it for it in GRANT_TYPES if it != PHONE_OTP)
"""In the phone grant there is no page, on which a partner's customer could be asked."""


def completed(members: Mapping[str, Any], policy: RegistrationPolicy) -> dict[str, Any]:
    """Metadata of a partner's client, with what it is registered for where they say nothing.

    Scopes are left to us (RFC 7591 2). Customers are to be strangers to partners who compare notes.
    """
    return {"scope": " ".join(policy.scopes), "subject_type": "pairwise"} | dict(members)


def ours(members: Mapping[str, Any], policy: RegistrationPolicy) -> dict[str, Any]:
    """What a policy makes of the members that are not for clients to say."""
    grant_types = members.get("grant_types")
    serves = isinstance(grant_types, list) and CLIENT_CREDENTIALS in grant_types
    return {
        "service_scope": " ".join(policy.service_scopes) if serves else "",
        "resources": policy.resources,
    }


def policy_faults(
    client: ClientMetadata, policy: RegistrationPolicy, issuer: str
) -> Iterator[Fault]:
    """All in which valid metadata go beyond a policy, or beyond what any partner may be."""
    for uri in client.redirect_uris:
        # On our own host apps of the group open links: they would get a partner's codes.
        if not _within(uri, policy) or _is_at(uri, issuer):
            yield "invalid_redirect_uri", f"redirect_uris: its host is not allowed: {uri}"
    for description in _beyond(client, policy, issuer):
        yield "invalid_client_metadata", description


def _beyond(client: ClientMetadata, policy: RegistrationPolicy, issuer: str) -> Iterator[str]:
    # The customer's browser is sent there, too.
    for name in ("post_logout_redirect_uris", "initiate_login_uri"):
        value = getattr(client, name) or ()
        for uri in (value,) if isinstance(value, str) else value:
            if not _within(uri, policy) or _is_at(uri, issuer):
                yield f"{name}: its host is not allowed: {uri}"
    grant_types = [it for it in policy.grant_types if it in PARTNERS_GRANT_TYPES]
    for name, values, allowed in (
        ("scope", client.scope.split(), policy.scopes),
        ("grant_types", client.grant_types, grant_types),
        ("service_scope", client.service_scope.split(), policy.service_scopes),
        ("resources", client.resources, policy.resources),
        ("resource", (client.resource,), (None,)),
    ):
        for value in values:
            if value not in allowed:
                yield f"{name}: {value} is not allowed"
    if client.subject_type != "pairwise":
        yield "subject_type: must be pairwise"
    if client.first_party_native:
        yield "first_party_native: is for our own applications"
    if client.refresh_token_policy != "offline_access":
        # Without asking the customer it is a privilege of our own clients.
        yield f"refresh_token_policy: {client.refresh_token_policy} is not allowed"


def _is_at(uri: str, issuer: str) -> bool:
    """Whether a URI leads to the issuer itself: in development the host is everybody's."""
    ours, parts = urlsplit(issuer), urlsplit(uri)
    return (parts.hostname, parts.port) == (ours.hostname, ours.port)


def _within(uri: str, policy: RegistrationPolicy) -> bool:
    if not policy.redirect_hosts:
        return True
    # An app's own scheme belongs to no host: any app may claim it (RFC 8252 8.4).
    parts = urlsplit(uri)
    return parts.scheme in ("https", "http") and parts.hostname in policy.redirect_hosts
