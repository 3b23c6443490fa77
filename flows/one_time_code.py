"""One-time codes: derived, so that a repeat is the same code and nothing recoverable is stored."""

from flows import sending_limits
from flows.provider import Provider
from flows.sending_limits import Asker
from keys.hashing import derive, random_id
from storage.records import NewChallenge

CALL_DIGITS = 4  # the end of the number that a flash call comes from
ACR = "urn:x5id:acr:phone-otp"
AMR = "otp sms"  # RFC 8176 2


def code_of(provider: Provider, challenge_id: str) -> str:
    """The code of a challenge: 64 bits of an HMAC, cut to the digits of the settings.

    A challenge names the version of the secret, so that a repeat after a rotation is the same code.
    """
    version, _, _ = challenge_id.partition(".")
    secret = provider.keys.secrets("otp")[int(version)]
    number = int.from_bytes(derive(secret, "code", challenge_id)[:8], "big")
    digits = provider.settings.otp.length
    return f"{number % 10**digits:0{digits}}"


def hashes_of(provider: Provider, journey: str, code: str) -> list[bytes]:
    """What the store compares: without the secret, a few digits could be tried out.

    One for each version of the secret that a challenge may have begun with, the newest first.
    """
    secrets = provider.keys.secrets("otp").values()
    return [derive(secret, "hash", journey, code) for secret in secrets]


def is_well_formed(provider: Provider, code: str) -> bool:
    """Whether a text can be a code at all; only then is it worth a try."""
    lengths = (provider.settings.otp.length, CALL_DIGITS)
    return len(code) in lengths and code.isascii() and code.isdigit()


def is_call(provider: Provider, code: str) -> bool:
    """Whether a well-formed code can only be a flash call's."""
    return len(code) != provider.settings.otp.length


def can_reach(provider: Provider, phone: str) -> bool:
    """Whether anybody takes codes to a phone, or it needs nobody to."""
    settings = provider.settings
    if settings.is_test_number(phone) is not None:
        return True
    return settings.delivery.reaches(phone) and sending_limits.sends_to(provider, phone)


def new_challenge(provider: Provider, journey: str, phone: str, asker: Asker) -> NewChallenge:
    """A challenge for a journey, which counts for the phone and for whoever asks.

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
        send_limits=sending_limits.limits_of(provider, asker, phone),
        sending=sending_limits.sending_of(provider, asker, journey, phone),
    )
