"""One-time codes: derived, so that a repeat is the same code and nothing recoverable is stored."""

import ipaddress

from conf.settings import Limit
from flows.provider import Provider
from keys.hashing import derive, random_id
from storage.records import KeyedLimit, NewChallenge

DIGITS = 6
CALL_DIGITS = 4  # the end of the number that a flash call comes from
ACR = "urn:x5id:acr:phone-otp"
AMR = "otp sms"  # RFC 8176 2


def code_of(provider: Provider, challenge_id: str) -> str:
    """The code of a challenge: 64 bits of an HMAC, cut to six digits.

    A challenge names the version of the secret, so that a repeat after a rotation is the same code.
    """
    version, _, _ = challenge_id.partition(".")
    secret = provider.keys.secrets("otp")[int(version)]
    number = int.from_bytes(derive(secret, "code", challenge_id)[:8], "big")
    return f"{number % 10**DIGITS:0{DIGITS}}"


def hashes_of(provider: Provider, journey: str, code: str) -> list[bytes]:
    """What the store compares: without the secret, six digits could be tried out.

    One for each version of the secret that a challenge may have begun with, the newest first.
    """
    secrets = provider.keys.secrets("otp").values()
    return [derive(secret, "hash", journey, code) for secret in secrets]


def is_well_formed(code: str) -> bool:
    """Whether a text can be a code at all; only then is it worth a try."""
    return len(code) in (DIGITS, CALL_DIGITS) and code.isascii() and code.isdigit()


def is_call(code: str) -> bool:
    """Whether a well-formed code can only be a flash call's."""
    return len(code) != DIGITS


def can_reach(provider: Provider, phone: str) -> bool:
    """Whether anybody takes codes to a phone, or it needs nobody to."""
    settings = provider.settings
    return settings.delivery.reaches(phone) or settings.is_test_number(phone) is not None


def new_challenge(provider: Provider, journey: str, phone: str, source: KeyedLimit) -> NewChallenge:
    """A challenge for a journey, which counts for the phone and for its `source`.

    A configured test number has a fixed code and no limits.
    """
    settings = provider.settings.otp
    challenge_id = f"{next(iter(provider.keys.secrets('otp')))}.{random_id()}"
    test = provider.settings.is_test_number(phone)
    code = test.code if test else code_of(provider, challenge_id)
    return NewChallenge(
        challenge_id=challenge_id,
        phone=phone,
        otp_hash=hashes_of(provider, journey, code)[0],
        tries=settings.tries,
        validity=settings.validity,
        resend_after=settings.resend_after,
        test=test is not None,
        attempt=random_id(),
        send_limits=(
            keyed("send:phone", phone, settings.sends_per_phone),
            source,
        ),
    )


def keyed(what: str, whose: str, limit: Limit) -> KeyedLimit:
    """A limit on what somebody does."""
    return KeyedLimit(f"{what}:{whose}", limit.burst, limit.period)


def network_of(address: str) -> str:
    """The /24 or /64 that an address is counted with: one customer often has all of it."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    # A dual-stack listener shows IPv4 customers as IPv6; they must not all share one /64.
    ip = getattr(ip, "ipv4_mapped", None) or ip
    prefix = 24 if isinstance(ip, ipaddress.IPv4Address) else 64
    return str(ipaddress.ip_network((ip, prefix), strict=False))
