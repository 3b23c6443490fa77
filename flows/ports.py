"""What the protocol needs from outside, in its own words."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, Protocol

Clock = Callable[[], int]
"""The time in whole Unix seconds."""


class Outbox(Protocol):
    """Sends the messages that are queued in the store."""

    def wake(self) -> None:
        """Say that there is one now. Nobody waits for its provider."""


Kind = Literal["sms", "messenger", "flash_call", "voice"]
"""How a code reaches a customer. With a flash call it is the end of the number that calls."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One attempt to reach a customer, as a message provider is given it; `phone` is E.164.

    `submission_id` is ours and the same at every repetition: an idempotency key. `sender` is whom
    it comes from; None leaves that to the provider. `valid_for` is in seconds: later than that
    nobody needs it. A flash call has no `text`, and no `code` that we know.
    """

    submission_id: str
    kind: Kind
    phone: str
    text: str
    code: str
    valid_for: int
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The provider took it. `provider_id` is its own name for it, by which a receipt comes.

    `code` is what the customer will have to type, where the provider chose it (a flash call).
    """

    provider_id: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a submission: `delivered`, or not and never any more."""

    provider_id: str
    delivered: bool


class SubmissionRefused(Exception):
    """The provider has certainly not taken it. The message is for the log, without secrets."""


class ProviderUnavailable(SubmissionRefused):
    """It has not taken this one and takes none at the moment: the fault is the provider's own."""


class SubmissionUncertain(Exception):
    """The provider may have taken it: no answer came. The message is for the log."""


class MessageProvider(Protocol):
    """Somebody who reaches customers: a gateway over HTTP, or an SMS centre over SMPP."""

    async def submit(self, submission: Submission, /) -> Submitted:
        """Hand it over, within a few seconds.

        Raises SubmissionRefused and SubmissionUncertain.
        """

    async def close(self) -> None:
        """End its connections."""


FetchFailure = Literal[
    "the URL is not one that is fetched",
    "its host has no address",
    "its host has an address that is not fetched from",
    "it cannot be connected to",
    "TLS with it fails",
    "it takes too long",
    "its answer is not HTTP",
    "it redirects",
    "its status is not 200",
    "its media type is another one",
    "its content is encoded",
    "its content is too long",
    "its content is no JWK Set",
    "its content is no image that is shown",
]


class FetchError(Exception):
    """What a URL names could not be had.

    `reason` is for the log. It quotes nothing that the other side sent, and is not for whoever
    gave the URL either: it tells what there is inside our network.
    """

    def __init__(self, reason: FetchFailure) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL named.

    `media_type` is in lower case and without parameters. `max_age` is for how many seconds it may
    be kept (RFC 9111 5.2.2): None if the answer does not say, 0 if it must not be.
    """

    body: bytes
    media_type: str
    max_age: int | None


class Fetcher(Protocol):
    """Fetches what somebody else named: `jwks_uri`, `sector_identifier_uri`, `logo_uri`."""

    async def fetch(
        self, url: str, /, *, media_types: Collection[str], at_most: int = 65_536
    ) -> Fetched:
        """Get what `url` names, of one of `media_types` and of `at_most` bytes.

        Raises FetchError, within a few seconds.
        """


class Log(Protocol):
    """The structured log, as far as the protocol writes to it."""

    def info(self, event: str, **fields: object) -> object:
        """Something that an operator may want to count."""

    def warning(self, event: str, **fields: object) -> object:
        """Something that an operator should look at."""
