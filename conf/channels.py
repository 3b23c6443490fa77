"""The shape of a channel and its clients, as channels files have them. Durations are seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Locale = Literal["ru", "en"]
LOCALES: Final[tuple[Locale, ...]] = get_args(Locale)

Platform = Literal["android", "ios", "web", "bot", "service"]
PLATFORMS: Final[tuple[Platform, ...]] = get_args(Platform)


@dataclass(frozen=True, slots=True)
class Support:
    """Where a customer finds help; at least one of the three is there."""

    phone: str | None = None  # as people write it, with the country's code
    email: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Messages:
    """What customers' phones receive: from whom, and the texts with the code in some locales.

    In a text `{code}`, `{channel}` and `{origin}` stand for the code, the brand's name and the
    provider's host name. A locale without a text has the provider's.
    """

    sender: str | None = None
    one_time_code: Mapping[str, str] = field(default_factory=dict)  # by SMS
    messenger: Mapping[str, str] = field(default_factory=dict)
    voice: Mapping[str, str] = field(default_factory=dict)  # read out; the digits stand apart


@dataclass(frozen=True, slots=True)
class ChannelLifetimes:
    """What a channel wants shorter than the installation has it; None is the installation's.

    A session belongs to the customer's browser and to every channel, so a channel cannot end it.
    What it can say is for how long after a proof of the phone it accepts it (`sign_in`).
    """

    access_token: int | None = None
    id_token: int | None = None
    refresh_idle: int | None = None
    refresh_absolute: int | None = None
    sign_in: int | None = None


@dataclass(frozen=True, slots=True)
class AndroidApp:
    """An app by its package, and the certificates that it is signed with.

    `sms_retriever_hash` is what an SMS must end with for the app to read it.
    """

    package_name: str
    sha256_cert_fingerprints: tuple[str, ...]
    sms_retriever_hash: str | None = None


@dataclass(frozen=True, slots=True)
class IosApp:
    """An app by its application identifier: the team's prefix, a dot, the bundle identifier."""

    app_id: str


@dataclass(frozen=True, slots=True)
class Brand:
    """How a channel looks on the sign-in page."""

    name: Mapping[Locale, str]  # in every locale that the channel offers
    color: str  # "#rrggbb"
    logo: str  # SVG text that neither loads nor runs anything
    favicon: str  # likewise; empty where it is the logo
    terms_uri: str
    privacy_uri: str


@dataclass(frozen=True, slots=True)
class Secret:
    """A client's secret: in clear, or as the argon2id hash of one that another system made."""

    clear: str | None = field(default=None, repr=False)
    argon2id: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """One client of a channel; the newer secret comes first where one replaces the other."""

    client_id: str
    metadata: Mapping[str, object]  # RFC 7591 names, not judged here
    secrets: tuple[Secret, ...] = ()
    platform: Platform | None = None


@dataclass(frozen=True, slots=True)
class ChannelEntry:
    """One digital product. `name` is what operators call it; customers see the brand's.

    Its pages speak `locales`, and `locale` where the customer prefers none of them. Its clients may
    ask for `scopes` and learn `claims`; None is all that there are.
    """

    channel_id: str
    name: str
    brand: Brand
    locale: Locale
    locales: tuple[Locale, ...]
    clients: tuple[ClientEntry, ...]
    support: Support | None = None
    messages: Messages = Messages()
    lifetimes: ChannelLifetimes = ChannelLifetimes()
    scopes: tuple[str, ...] | None = None
    claims: tuple[str, ...] | None = None
    android: AndroidApp | None = None
    ios: IosApp | None = None
