"""The texts of messages to customers."""

from urllib.parse import urlsplit

from flows.channel import Channel

_ONE_TIME_CODE = {
    "ru": "{channel}: код {code}. Никому его не сообщайте.",
    "en": "{channel}: your code is {code}. Do not share it.",
}
# 3GPP TS 23.038 6.2.1: the characters of the default alphabet, and those that take two places.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€")
_LONGEST = {True: 160, False: 70}  # places of one segment in that alphabet, and in UCS-2


def one_time_code(locale: str, channel: Channel, code: str, issuer: str) -> str:
    """A one-time code's message, in the channel's own words if it has some.

    Its last line binds the code to our origin (WebOTP).
    """
    origin = urlsplit(issuer).hostname
    own = channel.messages.one_time_code
    text = own.get(locale, _ONE_TIME_CODE[locale]).format(
        channel=channel.named(locale), code=code, origin=origin
    )
    return f"{text}\n\n@{origin} #{code}"


def places_over_one_segment(text: str) -> int:
    """By how many places a text is too long for one SMS (3GPP TS 23.040 9.2.3.24.1); 0 if not."""
    in_default_alphabet = set(text) <= _BASIC | _EXTENDED
    if in_default_alphabet:
        places = len(text) + sum(character in _EXTENDED for character in text)
    else:
        places = len(text.encode("utf-16-be")) // 2
    return max(0, places - _LONGEST[in_default_alphabet])
