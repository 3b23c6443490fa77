"""What a grant type is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from flows.clients import Client
from flows.parameters import Parameters
from flows.provider import Provider
from storage.outcomes import Redeemed, Rotated


class Authorized(msgspec.Struct, frozen=True):
    """A grant that may get tokens now: with this refresh token, and for this scope."""

    grant: Redeemed | Rotated
    scope: str
    refresh_token: str | None


class ServiceAuthorized(msgspec.Struct, frozen=True):
    """A client that may get an access token in its own name, which no row stands for.

    `epoch` is that of the last revocation until now.
    """

    scope: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant type: its name, the parameters it reads, and its own part of the token endpoint.

    `authorize` sees no other parameter than these, and raises an OAuthError.
    """

    name: str
    parameters: frozenset[str]
    authorize: Callable[[Provider, Client, Parameters], Awaitable[Authorized | ServiceAuthorized]]
