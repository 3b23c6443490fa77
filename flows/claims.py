"""The claims about a customer: one row each, for userinfo, ID tokens, discovery and validation."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from storage.records import Customer


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim, the scope that asks for it (OpenID Connect Core 5.4) and where its value is."""

    name: str
    scope: str
    value: Callable[[Customer], Any]


def _kept(name: str) -> Callable[[Customer], Any]:
    return lambda customer: (customer.claims or {}).get(name)


def _name(customer: Customer) -> str | None:
    parts = [part for part in (customer.given_name, customer.family_name) if part]
    return " ".join(parts) or None


CLAIMS: tuple[Claim, ...] = (
    Claim("name", "profile", _name),
    Claim("given_name", "profile", lambda customer: customer.given_name),
    Claim("family_name", "profile", lambda customer: customer.family_name),
    Claim("birthdate", "profile", _kept("birthdate")),
    Claim("gender", "profile", _kept("gender")),
    Claim("locale", "profile", _kept("locale")),
    Claim("phone_number", "phone", lambda customer: customer.phone),
    Claim("phone_number_verified", "phone", lambda _: True),
    Claim("email", "email", _kept("email")),
    Claim("email_verified", "email", _kept("email_verified")),
    Claim("address", "address", _kept("address")),
)

SCOPE_SYNTAX = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")
"""RFC 6749 A.4: names with one space between each two."""

OPENID = "openid"
OFFLINE_ACCESS = "offline_access"
SCOPES: tuple[str, ...] = (OPENID, *dict.fromkeys(claim.scope for claim in CLAIMS), OFFLINE_ACCESS)


def select(
    customer: Customer,
    scopes: frozenset[str],
    requested: Mapping[str, Any] | None,
    permitted: frozenset[str],
) -> dict[str, Any]:
    """The claims that `scopes` and the `claims` parameter ask for, as far as they are known.

    `permitted` are those that the client may learn at all.

    A claim that is asked for with a `value` or `values` that it does not have is left out
    (OpenID Connect Core 5.5.1).
    """
    selected = {}
    for claim in CLAIMS:
        wanted = requested is not None and claim.name in requested
        if claim.name not in permitted or (claim.scope not in scopes and not wanted):
            continue
        value = claim.value(customer)
        if value is None:
            continue
        if wanted and requested is not None and not _fits(value, requested[claim.name]):
            continue
        selected[claim.name] = value
    return selected


def _fits(value: Any, asked: Mapping[str, Any] | None) -> bool:
    if asked is None:
        return True
    if "value" in asked:
        return bool(value == asked["value"])
    return "values" not in asked or value in asked["values"]
