"""Reading the settings file, and what `idp dev` runs with instead of one.

The keys are the field names of `conf.model`, with `_seconds` behind a duration; an absent key
means its default. A relative path begins at the file's own directory.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from conf.decoding import ConfigurationError, Form, Source, Table, read_toml
from conf.delivery_settings import read_delivery
from conf.key_settings import read_hsm, read_key_encryption_keys, read_keys
from conf.model import (
    LIFETIME_BOUNDS,
    Address,
    HsmSettings,
    KeyEncryptionKey,
    KeySettings,
    Lifetimes,
    Limit,
    Listen,
    LogFormat,
    Otp,
    Registration,
    Sending,
    Settings,
    StoreSettings,
    TestNumbers,
)
from conf.registration_settings import read_registration
from conf.sending_settings import read_limit, read_otp, read_sending
from conf.store_settings import read_store
from conf.urls import host_of, is_loopback, issuer_faults

__all__ = [
    "Address",
    "ConfigurationError",
    "HsmSettings",
    "KeyEncryptionKey",
    "KeySettings",
    "Lifetimes",
    "Limit",
    "Listen",
    "LogFormat",
    "Otp",
    "Sending",
    "Settings",
    "StoreSettings",
    "TestNumbers",
    "development",
    "load",
]

_HOST: Final = Form(
    re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*"),
    "must be a host name or an IP address, without a port or brackets",
)
_HOST_NAME: Final = re.compile(r"([a-z0-9-]+\.)*(?=[a-z])[a-z0-9-]+")
_PHONE: Final = Form(
    re.compile(r"\+[1-9][0-9]{7,14}"), "must be a phone number in E.164, such as +79990000000"
)
_LOG_FORMAT: Final = Form(re.compile("json|console"), "must be json or console")

# A test number is a door that anyone may open: enough for app stores' reviewers and monitoring.
# A load test wants far more, and runs in development mode.
_MOST_TEST_NUMBERS: Final = {False: 1_000, True: 1_000_000}

# A mobile operator's network holds thousands of customers; development's is one load test.
_INTERACTIONS_PER_ADDRESS: Final = {False: Limit(6_000, 3_600), True: Limit(1_000_000, 3_600)}

_ATTEMPTS_PER_ADDRESS: Final = {False: Limit(60, 3_600), True: Limit(1_000_000, 3_600)}

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


def load(
    path: Path,
    overrides: Mapping[str, object] = _NOTHING,
    *,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Read the settings in the file at `path`.

    `overrides` holds values that replace the file's, by dotted key: `{"listen.port": 8443}`; None
    takes the key away.
    Raises ConfigurationError with all the faults, not just the first.
    """
    return _decode(read_toml(path), overrides, Source(path.absolute().parent, environ))


def development(
    *,
    directory: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    metrics_port: int = 9464,
    overrides: Mapping[str, object] = _NOTHING,
) -> Settings:
    """Make settings for one's own machine: plain http on loopback, and a hundred test numbers.

    `overrides` as for `load`. Raises ConfigurationError, for example if `host` is not loopback.
    """
    values = {
        "development": True,
        "issuer": f"http://{f'[{host}]' if ':' in host else host}:{port}",
        "directory": str(directory),
        "workers": workers,
        "listen": {"host": host, "port": port},
        "metrics": {"host": host, "port": metrics_port},
        "test_numbers": [{"first": "+79990000000", "last": "+79990000099", "code": "000000"}],
    }
    return _decode(values, overrides, Source(Path.cwd(), os.environ))


def _decode(values: dict[str, object], overrides: Mapping[str, object], source: Source) -> Settings:
    for key, value in overrides.items():
        _override(values, key, value)
    root = Table(values, source)
    development = root.boolean("development", default=False)
    directory = root.path("directory")
    otp = read_otp(root.table("otp"))
    settings = Settings(
        issuer=root.url("issuer", issuer_faults),
        development=development,
        directory=directory,
        listen=_listen(root.table("listen")),
        workers=root.integer("workers", 1, 1, 64),
        metrics=_address(root.table("metrics"), port=9464),
        trusted_proxies=_trusted_proxies(root),
        ca_file=root.readable_file("ca_file"),
        outbound_private_hosts=_private_hosts(root),
        key_encryption_keys=read_key_encryption_keys(root, directory, development=development),
        store=read_store(root.table("store")),
        keys=read_keys(root.table("keys")),
        hsm=read_hsm(root.table("hsm")) if "hsm" in root else None,
        lifetimes=_lifetimes(root.table("lifetimes")),
        otp=otp,
        sending=read_sending(root.table("sending"), development=development),
        test_numbers=_test_numbers(
            root, at_most=_MOST_TEST_NUMBERS[development], digits=otp.length
        ),
        interactions_per_address=read_limit(
            root, "interactions_per_address", _INTERACTIONS_PER_ADDRESS[development]
        ),
        registration=_registration(root.table("registration"), development=development),
        delivery=read_delivery(root.table("delivery"), development=development),
        log_format=_log_format(root, "console" if development else "json"),
    )
    _check_together(root, settings)
    root.close()
    if source.faults:
        raise ConfigurationError(*source.faults)
    return settings


def _override(values: dict[str, object], key: str, value: object) -> None:
    *tables, name = key.split(".")
    for table in tables:
        below = values.setdefault(table, {})
        if not isinstance(below, dict):  # a fault of the file, which the decoding reports
            return
        values = below
    values[name] = value


def _check_together(root: Table, settings: Settings) -> None:
    """Apply the rules about more than one key; a text that was at fault is empty here."""
    issuer_host = host_of(settings.issuer)
    if settings.development:
        for key, host in (("issuer", issuer_host), ("listen.host", settings.listen.host)):
            if host and not is_loopback(host):
                root.fault(key, "must be loopback in development mode")
    elif not settings.delivery.providers and not settings.test_numbers:
        root.fault("delivery.providers", "is required: without one nobody can receive a code")
    if (settings.metrics.host, settings.metrics.port) == (
        settings.listen.host,
        settings.listen.port,
    ):
        root.fault("metrics.port", "must not be the address in listen")


def _address(table: Table, port: int) -> Address:
    return Address(table.text("host", "127.0.0.1", _HOST), table.integer("port", port, 1, 65_535))


def _listen(table: Table) -> Listen:
    address = _address(table, port=8000)
    cert, key = table.readable_file("tls_cert"), table.readable_file("tls_key")
    if (cert is None) != (key is None):
        table.fault("tls_key" if key is None else "tls_cert", "is required beside the other")
    return Listen(address.host, address.port, cert, key)


def _trusted_proxies(root: Table) -> tuple[str, ...]:
    proxies = root.texts("trusted_proxies")
    for index, proxy in enumerate(proxies):
        try:
            everyone = ipaddress.ip_network(proxy).prefixlen == 0
        except ValueError:
            root.fault(f"trusted_proxies[{index}]", "must be an IP address or a CIDR block")
        else:
            if everyone:
                root.fault(f"trusted_proxies[{index}]", "must not be everyone")
    return proxies


def _private_hosts(root: Table) -> tuple[str, ...]:
    hosts = root.texts("outbound_private_hosts")
    for index, host in enumerate(hosts):
        if not _HOST_NAME.fullmatch(host):
            fault = "must be a host name in lower case, without a port"
            root.fault(f"outbound_private_hosts[{index}]", fault)
    return hosts


def _lifetimes(table: Table) -> Lifetimes:
    standard = Lifetimes()
    lifetimes = Lifetimes(
        **{
            name: table.integer(f"{name}_seconds", getattr(standard, name), low, high)
            for name, (low, high) in LIFETIME_BOUNDS.items()
        }
    )
    if lifetimes.refresh_idle > lifetimes.refresh_absolute:
        table.fault("refresh_idle_seconds", "must not be over refresh_absolute_seconds")
    if lifetimes.session_idle > lifetimes.session_absolute:
        table.fault("session_idle_seconds", "must not be over session_absolute_seconds")
    return lifetimes


def _test_numbers(root: Table, at_most: int, digits: int) -> tuple[TestNumbers, ...]:
    code_form = Form(re.compile(rf"[0-9]{{{digits}}}"), f"must be {digits} digits")
    ranges: list[TestNumbers] = []
    for table in root.tables("test_numbers"):
        first, last = table.text("first", form=_PHONE), table.text("last", form=_PHONE)
        code = table.text("code", form=code_form)
        if not (first and last):
            continue
        numbers = TestNumbers(int(first), int(last), code)
        if len(first) != len(last) or numbers.first > numbers.last:
            table.fault("last", "must be as long as first, and not before it")
        elif numbers.last - numbers.first >= at_most:
            table.fault("last", f"must make a range of at most {at_most} numbers")
        elif any(numbers.first <= it.last and it.first <= numbers.last for it in ranges):
            table.fault("first", "must not begin a range that overlaps another one")
        ranges.append(numbers)
    return tuple(ranges)


def _registration(table: Table, *, development: bool) -> Registration:
    attempts = read_limit(table, "attempts_per_address", _ATTEMPTS_PER_ADDRESS[development])
    return read_registration(table, attempts=attempts, development=development)


def _log_format(root: Table, default: LogFormat) -> LogFormat:
    value = root.text("log_format", default, _LOG_FORMAT)
    return "console" if value == "console" else "json"
