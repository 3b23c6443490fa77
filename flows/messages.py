"""The texts of messages to customers."""

from urllib.parse import urlsplit

from flows.clients import Channel

_ONE_TIME_CODE = {
    "ru": "{channel}: код {code}. Никому его не сообщайте.",
    "en": "{channel}: your code is {code}. Do not share it.",
}


def one_time_code(locale: str, channel: Channel, code: str, issuer: str) -> str:
    """A one-time code's message; its last line binds the code to our origin (WebOTP)."""
    text = _ONE_TIME_CODE[locale].format(channel=channel.name[locale], code=code)
    return f"{text}\n\n@{urlsplit(issuer).hostname} #{code}"
