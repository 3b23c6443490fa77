"""The shape of what is said about delivery: message providers, and who is reached by which."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from conf.smpp_settings import SmppSettings

Kind = Literal["sms", "messenger", "flash_call", "voice"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

PLACEHOLDERS: Final = frozenset(
    {"phone", "digits", "text", "code", "sender", "submission_id", "valid_for"}
)


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """How a gateway's answer is read.

    `statuses` are those of an answer that may mean "taken"; none is any 2xx. `success` must be
    found in it, if there is one; `error` must not. Each is a JSON pointer (RFC 6901), or else a
    regular expression, whose first group is the value.
    """

    statuses: tuple[int, ...] = ()
    success: str | None = None
    error: str | None = None
    id: str | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class HttpGateway:
    """One request for one message. `{...}` in a value stands for one of PLACEHOLDERS or `secrets`.

    A value with `{sender}` is left out where nobody is the sender. At most one of `json` and `form`
    is there; with neither the request has no body.
    """

    url: str
    method: Literal["GET", "POST", "PUT"]
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    json: str | None = None  # a JSON text
    form: Mapping[str, str] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    answer: AnswerRules = AnswerRules()


@dataclass(frozen=True, slots=True)
class ReceiptRules:
    """How a provider's callback is believed and read.

    The secret comes in the header or the query's parameter of that name, or proves the body, by GET
    the query, by a hexadecimal HMAC with SHA-256 (RFC 2104) in the header `hmac_header`. `id` and
    `status` are as in AnswerRules, over JSON or a form's fields; other statuses than these mean
    nothing yet. Where many come at once, `each` is the JSON pointer to their array, and the two are
    about its items.
    """

    secret: str = field(repr=False)
    id: str
    status: str
    delivered: tuple[str, ...]
    failed: tuple[str, ...]
    header: str | None = None
    parameter: str | None = None
    hmac_header: str | None = None
    each: str | None = None


@dataclass(frozen=True, slots=True)
class MessageProvider:
    """Somebody who reaches customers, by HTTP or SMPP; without both it is the development inbox.

    One that is `idempotent` takes the same submission twice for once. `timeout` is how long a
    submission may take, in seconds.
    """

    id: str
    kind: Kind
    weight: int = 1
    idempotent: bool = False
    timeout: int = 5
    http: HttpGateway | None = None
    smpp: SmppSettings | None = None
    receipts: ReceiptRules | None = None

    @property
    def gives_receipts(self) -> bool:
        """Whether it says later what became of a message."""
        return self.receipts is not None or self.smpp is not None


@dataclass(frozen=True, slots=True)
class Step:
    """One of `providers`, all of `kind`, is given the message.

    The next step follows when it is refused, or when no receipt has come after `receipt_seconds`;
    with None being taken is enough.
    """

    kind: Kind
    providers: tuple[str, ...]
    receipt_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """The cascade for phones that begin with `prefix`; with `channels`, for their clients alone."""

    prefix: str
    steps: tuple[Step, ...]
    channels: tuple[str, ...] = ()

    def leads_to(self, phone: str) -> bool:
        """Whether it is for this phone (E.164)."""
        return phone.startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class Delivery:
    """All message providers, and the routes to customers."""

    providers: tuple[MessageProvider, ...] = ()
    routes: tuple[Route, ...] = ()

    def provider(self, provider_id: str) -> MessageProvider | None:
        """The provider of that name."""
        return next((it for it in self.providers if it.id == provider_id), None)

    def reaches(self, phone: str) -> bool:
        """Whether some route is for this phone."""
        return any(route.leads_to(phone) for route in self.routes)

    def steps(self, phone: str, channel_id: str) -> tuple[Step, ...]:
        """The cascade for a phone in a channel: the longest prefix, then the channel's own."""
        fitting = [
            route
            for route in self.routes
            if route.leads_to(phone) and (not route.channels or channel_id in route.channels)
        ]
        best = max(fitting, key=lambda it: (len(it.prefix), bool(it.channels)), default=None)
        return best.steps if best else ()
