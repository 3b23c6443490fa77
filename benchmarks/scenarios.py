"""What is measured: the operations, how many customers take part, and the mix of production."""

from collections.abc import Mapping
from typing import Final

MIX: Final[Mapping[str, float]] = {
    "refresh": 40,
    "userinfo": 20,
    "introspection": 14,
    "client_credentials": 8,
    "sso": 6,
    "discovery": 8,
    "phone": 3,
    "journey": 1,
}
"""Operations out of a hundred; README.md says why."""

REQUESTS: Final[Mapping[str, int]] = {"sso": 2, "phone": 2, "journey": 8}
"""Requests in one operation, where they are several."""

SCENARIOS: Final = (
    "refresh",
    "exchange",
    "journey",
    "phone",
    "client_credentials",
    "userinfo",
    "introspection",
    "discovery",
    "mix",
)

WITH_MESSAGES: Final = ("phone_message", "challenge")
"""Whole sign-ins, whose codes come by message."""

CUSTOMERS: Final = 256


def shares(scenario: str) -> Mapping[str, float]:
    """The operations of a scenario, in their proportions."""
    return MIX if scenario == "mix" else {scenario: 1}


def requests_per_operation(scenario: str) -> float:
    """How many requests an operation has on average."""
    parts = shares(scenario)
    return sum(share * REQUESTS.get(name, 1) for name, share in parts.items()) / sum(parts.values())
