"""The texts of messages to customers."""

from typing import Final
from urllib.parse import urlsplit

from conf.channels import Platform
from flows.channel import Channel
from flows.ports import Kind

_STANDARD: Final = {
    "sms": {
        # Cyrillic has 70 places in a segment, and the last line takes a third of them.
        "ru": "{channel}: {code}. Никому не говорите",
        "en": "{channel}: your code is {code}. Do not share it.",
    },
    "messenger": {
        "ru": "{channel}: код {code}. Никому его не сообщайте.",
        "en": "{channel}: your code is {code}. Do not share it.",
    },
    "voice": {
        "ru": "{channel}. Ваш код: {code}. Повторяем: {code}. Никому его не сообщайте.",
        "en": "{channel}. Your code is {code}. Once more: {code}. Do not share it.",
    },
}


def text(
    kind: Kind,
    locale: str,
    channel: Channel,
    code: str,
    issuer: str,
    *,
    platform: Platform | None = None,
) -> str:
    """The text that takes a code to a customer, in the channel's own words if it has some.

    `platform` is that of the client. A flash call says nothing, so its text is empty.
    """
    if kind == "flash_call":
        return ""
    host = urlsplit(issuer).hostname
    filled = _template(kind, locale, channel).format(
        channel=channel.named(locale),
        code=", ".join(code) if kind == "voice" else code,  # or it is read out as a number
        origin=host,
    )
    if kind != "sms":
        return filled
    # WebOTP: the last line binds the code to our origin, and what follows the code is ignored
    # (wicg.github.io/sms-one-time-codes, 2.2). So an app's hash can be the end of it, as the SMS
    # Retriever wants it, and both work with one message.
    last_line = f"@{host} #{code}"
    app_hash = channel.android.sms_retriever_hash if channel.android is not None else None
    if platform == "android" and app_hash is not None:
        last_line = f"{last_line} {app_hash}"
    return f"{filled}\n\n{last_line}"


def _template(kind: Kind, locale: str, channel: Channel) -> str:
    own = channel.messages
    texts = {"sms": own.one_time_code, "messenger": own.messenger, "voice": own.voice}[kind]
    return texts.get(locale, _STANDARD[kind][locale])
