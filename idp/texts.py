"""The texts of the pages, one TOML file per locale, with the plural forms of each language.

In a file `~` is a no-break space, `{name}` a value, and a table of CLDR categories plural forms.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from markupsafe import Markup, escape

LOCALES = Path(__file__).parent / "locales"

Text = str | Mapping[str, str]  # a text, or its plural forms by CLDR category


def _russian(count: int) -> str:
    if count % 100 in range(11, 15):
        return "many"
    return {1: "one", 2: "few", 3: "few", 4: "few"}.get(count % 10, "many")


def _english(count: int) -> str:
    return "one" if count == 1 else "other"


# CLDR's plural categories of whole numbers.
PLURALS: Mapping[str, Callable[[int], str]] = MappingProxyType({"ru": _russian, "en": _english})
_CATEGORIES = frozenset({"one", "few", "many", "other"})
_MINUTE, _HOUR = 60, 3600


class Texts:
    """The texts of one locale, found by dotted key such as `phone.title`."""

    def __init__(self, locale: str, texts: Mapping[str, Text]) -> None:
        self.locale = locale
        self.texts = MappingProxyType(dict(texts))
        self._plural = PLURALS[locale]

    def text(self, key: str, *, count: int | None = None, **values: object) -> Markup:
        """The text as safe HTML: values are escaped unless they are markup already.

        `count` picks the plural form and fills `{count}`. A key without a text is a `KeyError`.
        """
        found = self.texts[key]
        if not isinstance(found, str):
            found = found[self._plural(0 if count is None else count)]
        return escape(found).format(count=count, **values)

    def known(self, prefix: str, key: str, fallback: str) -> str:
        """`prefix.key` if it has a text, otherwise `prefix.fallback`."""
        return f"{prefix}.{key if f'{prefix}.{key}' in self.texts else fallback}"

    def duration(self, seconds: int) -> Markup:
        """A waiting time in seconds in words, rounded up to whole seconds, minutes or hours."""
        if seconds >= 2 * _HOUR:
            return self.text("duration.hours", count=-(-seconds // _HOUR))
        if seconds >= _MINUTE:
            return self.text("duration.minutes", count=-(-seconds // _MINUTE))
        return self.text("duration.seconds", count=max(seconds, 1))

    def date(self, at: int) -> Markup:
        """The day of a Unix time in words, in UTC."""
        day = datetime.fromtimestamp(at, UTC)
        month = self.text(f"month.{day.month}")
        return self.text("date.full", day=day.day, month=month, year=day.year)


def load_texts() -> Mapping[str, Texts]:
    """The texts of every locale that has plural rules."""
    return MappingProxyType({locale: Texts(locale, dict(_read(locale))) for locale in PLURALS})


def _read(locale: str) -> Iterator[tuple[str, Text]]:
    with (LOCALES / f"{locale}.toml").open("rb") as file:
        yield from _flatten("", tomllib.load(file))


def _flatten(prefix: str, table: Mapping[str, object]) -> Iterator[tuple[str, Text]]:
    for name, value in table.items():
        key = f"{prefix}{name}"
        if not isinstance(value, dict):
            yield key, _typeset(str(value))
        elif value.keys() <= _CATEGORIES:
            yield key, {category: _typeset(form) for category, form in value.items()}
        else:
            yield from _flatten(f"{key}.", value)


def _typeset(text: str) -> str:
    return text.replace("~", "\N{NO-BREAK SPACE}")
