"""The shape of the settings: typed, with their defaults, frozen. Durations are whole seconds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from conf.delivery import Delivery

DAY: Final = 86_400

LogFormat = Literal["json", "console"]
Topology = Literal["child", "external", "replicated"]

_E164: Final = re.compile(r"\+([1-9][0-9]{7,14})")


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `burst` events at once, refilled evenly over `period` seconds (GCRA)."""

    burst: int
    period: int


@dataclass(frozen=True, slots=True)
class Address:
    """A host (an IPv6 literal without brackets) and a TCP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Listen(Address):
    """Where the server listens: with TLS if both files are given, else for a proxy in front."""

    tls_cert: Path | None = None
    tls_key: Path | None = None


@dataclass(frozen=True, slots=True)
class KeyEncryptionKey:
    """Where a key that seals other keys comes from: a file, an environment variable or a command.

    Exactly one of the three is there. `id` stands in front of all that the key sealed.
    """

    id: str
    file: Path | None = None
    env: str | None = None
    command: tuple[str, ...] = ()  # a program and its arguments, run without a shell


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the store is, and how long one call may take, in seconds, with all its attempts.

    `child` is a private Tarantool with so much memory for rows. `external` has one address, and
    `replicated` several nodes, one of which writes.
    """

    topology: Topology = "child"
    memory_bytes: int = 268_435_456
    call_timeout: float = 2.0
    addresses: tuple[Address, ...] = ()
    user: str = "idp"
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long each thing is good for, in seconds: `_idle` since its last use, else since birth."""

    code: int = 60
    access_token: int = 300
    id_token: int = 600
    refresh_idle: int = 60 * DAY
    refresh_absolute: int = 365 * DAY
    refresh_grace: int = 10  # how long a rotated token still answers a lost response; 0 is strict
    session_idle: int = 30 * DAY
    session_absolute: int = 180 * DAY
    interaction: int = 1800


LIFETIME_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "code": (1, 60),  # RFC 6749 4.1.2 allows ten minutes; a redirect takes seconds
    "access_token": (1, 3600),
    "id_token": (1, DAY),
    "refresh_idle": (1, 400 * DAY),
    "refresh_absolute": (1, 800 * DAY),
    "refresh_grace": (0, 300),
    "session_idle": (1, 400 * DAY),  # browsers keep no cookie for longer than 400 days
    "session_absolute": (1, 400 * DAY),
    "interaction": (1, DAY),
}


@dataclass(frozen=True, slots=True)
class Otp:
    """One-time codes: how long one is good for, how often it may be sent and mistaken.

    `per_address` is by network (/24 or /64), `per_client` by the phone grant, whose customers share
    one address; `per_prefix` is of strangers' numbers, `per_device` of those who have signed in.
    """

    length: int = 6  # digits
    validity: int = 180
    tries: int = 5
    resend_after: int = 30  # after the first message; twice as long after each further one
    sends_per_phone: Limit = Limit(5, 600)
    sends_per_address: Limit = Limit(3000, 3600)
    sends_per_client: Limit = Limit(6000, 3600)
    sends_per_prefix: Limit = Limit(3000, 3600)
    sends_per_device: Limit = Limit(5, 3600)
    wrong_tries_per_phone: Limit = Limit(15, 3600)
    wrong_tries_per_address: Limit = Limit(300, 3600)
    wrong_tries_per_client: Limit = Limit(3000, 3600)


@dataclass(frozen=True, slots=True)
class Sending:
    """What messages are spent on: the numbers, the budgets of a day, and the conversion watch.

    `countries` are ISO 3166 codes, none of them is any. Where fewer than `lowest_conversion` of
    the messages lead to a sign-in, strangers are held back for `hold` seconds at first.
    `proof_of_work_bits` is what a doubtful source has to work for: each bit doubles it.
    """

    countries: tuple[str, ...] = ()
    mobile_only: bool = True
    client_budget: int = 100_000
    provider_budget: int = 200_000
    lowest_conversion: float = 0.4
    hold: int = 1800
    proof_of_work_bits: int = 18


SIGNING_ALGORITHMS: Final = ("ES256", "RS256", "PS256", "EdDSA", "ES384")
ENCRYPTION_ALGORITHMS: Final = ("ECDH-ES",)  # of our own key, for what clients encrypt to us


@dataclass(frozen=True, slots=True)
class KeySettings:
    """Signing keys: the algorithms that have some, and their rotation, in seconds.

    `rotation` is how long each algorithm's key signs before the next one does; 0 means until a
    command says so. Relying parties may keep the JWK Set for `jwks_max_age`; within `propagation`
    every process knows of a change. A key is published for both together before it signs.
    """

    algorithms: tuple[str, ...] = SIGNING_ALGORITHMS
    rotation: Mapping[str, int] = field(
        default_factory=lambda: dict.fromkeys(SIGNING_ALGORITHMS + ENCRYPTION_ALGORITHMS, 30 * DAY)
    )
    jwks_max_age: int = 300
    propagation: int = 5


@dataclass(frozen=True, slots=True)
class HsmSettings:
    """A PKCS#11 token that keeps signing keys: the vendor's library, which token, and its PIN."""

    module: Path
    token_label: str
    pin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TestNumbers:
    """Phone numbers that nobody owns, `first` to `last` inclusive, and the code that each accepts.

    The numbers are the digits of E.164 without the plus sign.
    """

    first: int
    last: int
    code: str


@dataclass(frozen=True, slots=True)
class OpenRegistration:
    """What clients may be that anybody registers, and how many of them there may be.

    No `redirect_hosts` allow any host.
    """

    scopes: tuple[str, ...] = ("openid", "profile", "phone", "email", "address", "offline_access")
    grant_types: tuple[str, ...] = ("authorization_code", "refresh_token")
    redirect_hosts: tuple[str, ...] = ()
    most_clients: int = 1_000


@dataclass(frozen=True, slots=True)
class SoftwareStatementIssuer:
    """Who may sign what a client is registered as (RFC 7591 2.3), and with which public keys."""

    issuer: str
    jwks: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Registration:
    """Dynamic registration (RFC 7591); without `open` it takes an initial access token.

    `attempts_per_address` limits what makes the server fetch what a client names.
    """

    open: OpenRegistration | None
    attempts_per_address: Limit
    software_statement_issuers: tuple[SoftwareStatementIssuer, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """All that one installation decides. Every path is absolute."""

    issuer: str
    development: bool
    directory: Path
    listen: Listen
    workers: int
    metrics: Address
    trusted_proxies: tuple[str, ...]  # who may set X-Forwarded-For: IP addresses and CIDR blocks
    ca_file: Path | None  # trusted for outbound TLS, beside the system's authorities
    outbound_private_hosts: tuple[str, ...]  # may have private addresses though clients name them
    key_encryption_keys: tuple[KeyEncryptionKey, ...]  # the first seals, all open
    store: StoreSettings
    keys: KeySettings
    hsm: HsmSettings | None
    lifetimes: Lifetimes
    otp: Otp
    sending: Sending
    test_numbers: tuple[TestNumbers, ...]
    delivery: Delivery
    registration: Registration
    interactions_per_address: Limit  # sign-ins begun; anybody can begin one, and each takes memory
    log_format: LogFormat

    @property
    def https(self) -> bool:
        """Whether browsers reach the server by https."""
        return self.issuer.startswith("https:")

    @property
    def socket_path(self) -> Path:
        """The unix socket of the private Tarantool."""
        return self.directory / "store" / "tarantool.sock"

    def is_test_number(self, phone: str) -> TestNumbers | None:
        """Find the range that `phone` (E.164, with the plus sign) lies in; None if in none."""
        match = _E164.fullmatch(phone)
        if match is None:
            return None
        number = int(match[1])
        return next((it for it in self.test_numbers if it.first <= number <= it.last), None)

    def to_json(self) -> str:
        """Write everything, secrets too, for a worker process: not for logs."""
        return msgspec.json.encode(self, enc_hook=_encode_path).decode()

    @classmethod
    def from_json(cls, data: str | bytes) -> "Settings":
        """Read what `to_json` wrote. Raises msgspec.DecodeError for anything else."""
        return msgspec.json.decode(data, type=cls, dec_hook=_decode_path)


def _encode_path(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(type(value))


def _decode_path(wanted: type, value: str) -> Path:
    if wanted is Path:
        return Path(value)
    raise NotImplementedError(wanted)
