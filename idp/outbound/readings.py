"""Finding a value in what a message provider said: by a JSON pointer or a regular expression."""

import re
from urllib.parse import parse_qsl

import msgspec

from idp.http import TooLarge

_INDEXES = frozenset(map(str, range(100)))
_LONGEST = 256  # characters of a value that is worth keeping


class Said:
    """An answer or a callback of a provider, read once."""

    def __init__(self, body: bytes, fields: dict[str, str] | None = None) -> None:
        """`fields` are a form's or a query's; without them the body is JSON or plain text."""
        self._text = body.decode("utf-8", "replace")
        self._value: object = fields
        if fields is None:
            try:
                self._value = msgspec.json.decode(body)
            except (msgspec.DecodeError, RecursionError):
                self._value = None

    def find(self, reading: str | None) -> str | None:
        """The value that a reading leads to, as text; None where there is none or it is empty."""
        if reading is None:
            return None
        found = self._text_at(reading) if reading.startswith("/") else self._matched(reading)
        return found[:_LONGEST] or None if found is not None else None

    def items(self, pointer: str, most: int) -> list["Said"]:
        """What the array there has, each as if it had come alone. Raises ValueError or TooLarge."""
        array = self._value_at(pointer)
        if not isinstance(array, list):
            raise ValueError("there is no array where it should be")  # noqa: TRY004 - of the text
        if len(array) > most:
            raise TooLarge(f"at most {most} may come at once")
        return [Said(msgspec.json.encode(it)) for it in array]

    def _matched(self, pattern: str) -> str | None:
        match = re.search(pattern, self._text)
        if match is None:
            return None
        return match[1] if match.re.groups else match[0]

    def _text_at(self, pointer: str) -> str | None:
        value = self._value_at(pointer)
        if isinstance(value, bool):
            return str(value).lower() if value else None
        return str(value) if isinstance(value, str | int | float) else None

    def _value_at(self, pointer: str) -> object:
        value = self._value
        for token in pointer.split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")  # RFC 6901 4
            if isinstance(value, dict):
                value = value.get(name)
            elif isinstance(value, list) and name in _INDEXES:
                value = value[int(name)] if int(name) < len(value) else None
            else:
                return None
        return value


def form_fields(data: bytes) -> dict[str, str]:
    """The fields of a form or a query, the last of each name."""
    return dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))
