"""What the sending of a code is held to: who asks, from where, for which number.

The store decides (storage/lua/sending.lua); here is what it is told.
"""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from hmac import compare_digest

from conf.settings import Limit
from flows import proof_of_work
from flows.phones import may_receive, prefix_of
from flows.ports import Log
from flows.provider import Provider
from keys.hashing import b64url, derive, random_id
from storage.records import KeyedLimit, Sending, SendingAlarm

_DEVICE_LENGTH = 100
_IN_HAND = 64  # addresses; each is looked at several times in one request


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a code.

    `address` is the customer's; a client that asks in its customers' names has none. `device` is
    what a browser that has signed in shows, `proof` the proof of work, each as it was sent.
    """

    client_id: str = ""
    address: str | None = None
    device: str | None = None
    proof: str | None = None


def sends_to(provider: Provider, phone: str) -> bool:
    """Whether codes go to such a number; a test number gets none, and is always good."""
    sending = provider.settings.sending
    return provider.settings.is_test_number(phone) is not None or may_receive(
        phone, sending.countries, mobile_only=sending.mobile_only
    )


def limits_of(provider: Provider, asker: Asker, phone: str) -> tuple[KeyedLimit, ...]:
    """The limits on sending, other than a known device's own."""
    otp = provider.settings.otp
    if asker.address is None:
        source = keyed("send:client", asker.client_id, otp.sends_per_client)
    else:
        source = keyed("send:address", network_of(asker.address), otp.sends_per_address)
    return keyed("send:phone", phone, otp.sends_per_phone), source


def sending_of(provider: Provider, asker: Asker, journey: str, phone: str) -> Sending:
    """What the store is told."""
    otp, sending = provider.settings.otp, provider.settings.sending
    prefix = prefix_of(phone)
    known = asker.device is not None and _is_device_of(provider, asker.device, phone)
    if asker.address is None:
        source, address = f"client {asker.client_id}", None
        wrong_tries = otp.wrong_tries_per_client
    else:
        source, address = _network(asker.address, 48), _network(asker.address, 64, 32)
        wrong_tries = otp.wrong_tries_per_address
    return Sending(
        source=source,
        prefix=prefix,
        prefix_limit=keyed("send:prefix", prefix, otp.sends_per_prefix),
        wrong_tries=keyed("wrong:source", source, wrong_tries),
        client_budget=sending.client_budget,
        lowest_conversion=sending.lowest_conversion,
        hold=sending.hold,
        address=address,
        # All devices that a customer has signed in with share it: each sign-in gives a new one.
        device=keyed("send:device", phone, otp.sends_per_device) if known else None,
        proof=proof_of_work.read(provider, asker.proof, journey, phone),
    )


def new_device(provider: Provider, phone: str | None) -> str | None:
    """What a browser shows from now on to be known as one that has signed in with this phone.

    It names nobody and is worth nothing with another number. None where no phone was proven.
    """
    if phone is None:
        return None
    device = random_id()
    return f"{device}.{_mac(provider, device, phone)}"


def _is_device_of(provider: Provider, shown: str, phone: str) -> bool:
    if len(shown) > _DEVICE_LENGTH or not shown.isascii():
        return False
    device, _, mac = shown.partition(".")
    return compare_digest(mac, _mac(provider, device, phone))


def _mac(provider: Provider, device: str, phone: str) -> str:
    # By the secret that never rotates: a device is known for as long as its cookie lives.
    return b64url(derive(provider.keys.secret("interaction"), "device", device, phone))


def tell(log: Log, *alarms: SendingAlarm) -> None:
    """Write the alarms that a message has raised to the log."""
    for alarm in alarms:
        log.warning("sending_alarm", what=alarm.what, key=alarm.key, percent=alarm.percent)


def keyed(what: str, whose: str, limit: Limit) -> KeyedLimit:
    """A limit on what somebody does."""
    return KeyedLimit(f"{what}:{whose}", limit.burst, limit.period)


def network_of(address: str) -> str:
    """The /24 or /64 that an address is counted with: one customer often has all of it."""
    return _network(address, 64)


def _network(address: str, v6: int, v4: int = 24) -> str:
    ip = _parsed(address)
    if ip is None:
        return "unknown"
    host = ip.max_prefixlen - (v4 if isinstance(ip, ipaddress.IPv4Address) else v6)
    # As the library's own networks are written, which take three times as long.
    return f"{type(ip)(int(ip) >> host << host)}/{ip.max_prefixlen - host}"


@lru_cache(_IN_HAND)
def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    # A dual-stack listener shows IPv4 customers as IPv6; they must not all share one /64.
    return getattr(ip, "ipv4_mapped", None) or ip
