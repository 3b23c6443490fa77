"""Channels files on their way to the store: checked against the installation, and warned about."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from conf.channels import ChannelEntry, ClientEntry
from conf.model import SIGNING_ALGORITHMS
from conf.settings import Lifetimes, Settings
from flows import messages
from flows.channel import Channel
from flows.claims import CLAIMS
from flows.client_metadata import ClientMetadata, InvalidClientMetadata
from flows.client_secrets import has_secret
from flows.client_validation import validate
from flows.segments import segmented

_CLAIMS = frozenset(claim.name for claim in CLAIMS)
_APPLICATION_TYPES = {"android": "native", "ios": "native", "web": "web"}
_ANY_CODE = "0" * 6


class ChannelsFault(Exception):
    """Channels that cannot be applied; `faults` names each by channel or client, and member."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an installation holds channels to; `algorithms` are those that it signs with."""

    algorithms: Collection[str] = SIGNING_ALGORITHMS
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    issuer: str = "https://id.example.com"
    development: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The rules of an installation."""
        return cls(
            settings.keys.algorithms, settings.lifetimes, settings.issuer, settings.development
        )


def check(entries: Sequence[ChannelEntry], rules: Rules) -> dict[str, ClientMetadata]:
    """Every client's validated metadata, by client_id. Raises ChannelsFault with all faults."""
    faults: list[str] = []
    checked = {}
    for entry in entries:
        faults += [f"{entry.channel_id}: {fault}" for fault in _channel_faults(entry)]
        for client in entry.clients:
            try:
                metadata = validate(
                    _with_scope(client.metadata, entry.scopes),
                    algorithms=rules.algorithms,
                    development=rules.development,
                )
            except InvalidClientMetadata as error:
                faults += [f"{client.client_id}: {description}" for _, description in error.faults]
                continue
            found = _client_faults(entry, client, metadata)
            faults += [f"{client.client_id}: {fault}" for fault in found]
            checked[client.client_id] = metadata
    if faults:
        raise ChannelsFault(faults)
    return checked


def warnings(entries: Sequence[ChannelEntry], rules: Rules) -> Iterator[str]:
    """What may be meant: a lifetime without effect, a text that needs more than one SMS."""
    ceiling = asdict(rules.lifetimes)
    for entry in entries:
        for name, seconds in asdict(entry.lifetimes).items():
            if seconds is not None and seconds > ceiling.get(name, seconds):
                yield (
                    f"{entry.channel_id}: lifetimes.{name}_seconds is over the installation's, "
                    f"which is {ceiling[name]} and counts"
                )
        yield from (f"{entry.channel_id}: {what}" for what in _long_texts(entry, rules.issuer))


def as_channel(entry: ChannelEntry) -> Channel:
    """A channel as the store keeps it."""
    return Channel(
        channel_id=entry.channel_id,
        title=entry.name,
        name={str(locale): name for locale, name in entry.brand.name.items()},
        locale=entry.locale,
        color=entry.brand.color,
        logo=entry.brand.logo,
        favicon=entry.brand.favicon,
        terms_uri=entry.brand.terms_uri,
        privacy_uri=entry.brand.privacy_uri,
        locales=entry.locales,
        support=entry.support,
        messages=entry.messages,
        lifetimes=entry.lifetimes,
        scopes=entry.scopes,
        claims=entry.claims,
        android=entry.android,
        ios=entry.ios,
    )


def _long_texts(entry: ChannelEntry, issuer: str) -> Iterator[str]:
    channel = as_channel(entry)
    platform = next((it.platform for it in entry.clients if it.platform == "android"), None)
    for locale in entry.locales:
        text = messages.text("sms", locale, channel, _ANY_CODE, issuer, platform=platform)
        sms = segmented(text)
        if sms.excess:
            own = locale in entry.messages.one_time_code
            yield (
                f"{'' if own else 'the standard text in place of '}messages.one_time_code.{locale} "
                f"is, with its last line, {sms.excess} characters too long for one SMS and paid "
                f"for as {len(sms.segments)}"
            )


def _with_scope(
    metadata: Mapping[str, object], scopes: tuple[str, ...] | None
) -> Mapping[str, Any]:
    # RFC 7591 2: what a client is registered for that does not say is for the server to choose.
    return metadata if scopes is None else {"scope": " ".join(scopes)} | dict(metadata)


def _channel_faults(entry: ChannelEntry) -> Iterator[str]:
    for claim in entry.claims or ():
        if claim not in _CLAIMS:
            yield f"claims: {claim} is not supported"


def _client_faults(
    entry: ChannelEntry, client: ClientEntry, metadata: ClientMetadata
) -> Iterator[str]:
    if entry.scopes is not None:
        for scope in metadata.scope.split():
            if scope not in entry.scopes:
                yield f"scope: {scope} is not among the scopes of its channel"
    expected = _APPLICATION_TYPES.get(client.platform or "")
    if expected is not None and metadata.application_type != expected:
        yield f"platform: {client.platform} goes with the application_type {expected}"
    if has_secret(metadata) != bool(client.secrets):
        yield "secret: " + (
            "is required"
            if has_secret(metadata)
            else f"a client that authenticates by {metadata.token_endpoint_auth_method} has none"
        )
    elif metadata.token_endpoint_auth_method == "client_secret_jwt" and any(
        secret.argon2id is not None for secret in client.secrets
    ):
        yield "secret: client_secret_jwt needs a secret in clear, not its hash"
