"""The customer's pages: templates, texts, brand and static files put together as HTML."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from conf.channels import Support
from flows.channel import Channel
from idp.palette import is_color, palette
from idp.texts import load_texts

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"

_LANGUAGE_RANGE = re.compile(
    r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([0-9.]{1,5})\s*)?\Z"
)


@dataclass(frozen=True, slots=True)
class Brand:
    """What a channel looks like.

    `color` is `#rrggbb`; `logo` and `favicon` are the URL paths of square marks that bring their
    own ground, so that they can stand on light and dark.

    A `partner` is not of the group. Raises `ValueError` for a colour in any other form: it is
    written into a style sheet.
    """

    channel_id: str
    name: str
    color: str
    logo: str | None = None
    terms_uri: str | None = None
    privacy_uri: str | None = None
    favicon: str | None = None
    support: Support | None = None
    partner: Literal["verified", "unverified"] | None = None

    def __post_init__(self) -> None:
        if not is_color(self.color):
            raise ValueError(f"brand color must be #rrggbb: {self.color!r}")

    @classmethod
    def of(cls, channel: Channel, locale: str) -> Self:
        """A channel's brand, in the customer's language."""
        path = f"/channels/{channel.channel_id}"
        logo = f"{path}/logo.svg" if channel.logo else None
        return cls(
            channel_id=channel.channel_id,
            name=channel.named(locale),
            color=channel.color,
            logo=logo,
            favicon=f"{path}/favicon.svg" if channel.favicon else None,
            support=channel.support,
            terms_uri=channel.terms_uri,
            privacy_uri=channel.privacy_uri,
        )


@dataclass(frozen=True, slots=True)
class Partner:
    """A row of the page of partners; no brand where it is registered no more."""

    client_id: str
    consent_id: str
    brand: Brand | None
    scopes: tuple[str, ...]
    since: int  # Unix seconds


NEUTRAL = Brand(channel_id="", name="ID", color="#0f6b57")


class Pages:
    """Renders the pages; one instance serves the whole process.

    Templates are compiled and static files hashed once, here: a change of a file needs a restart.
    """

    def __init__(self) -> None:
        self._texts = load_texts()
        versions = {
            file.relative_to(STATIC).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()[:8]
            for file in sorted(STATIC.rglob("*"))
            if file.is_file()
        }
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals["static"] = lambda name: f"/static/{name}?v={versions[name]}"
        environment.tests["web"] = _is_web
        environment.filters["host"] = _host
        self._templates = {
            name: environment.get_template(name) for name in environment.list_templates()
        }

    def render(
        self, template: str, *, locale: str, brand: Brand | None, nonce: str, **context: object
    ) -> str:
        """The page as HTML; `brand` None shows the group's neutral one.

        `nonce` must be the one in the `style-src` and `script-src` of the answer's CSP.
        """
        texts = self._texts[locale]
        shown = brand or NEUTRAL
        return self._templates[template].render(
            context,
            locale=locale,
            brand=shown,
            nonce=nonce,
            palette=palette(shown.color).css(),
            text=texts.text,
            known=texts.known,
            duration=texts.duration,
            date=texts.date,
        )

    def locales(self, ui_locales: str | None, accept_language: str | None) -> list[str]:
        """The supported locales, best first: the client's `ui_locales`, then the browser's.

        A malformed value is read as if it were absent (OIDC Core 3.1.2.1: not an error).
        """
        wanted = [tag.partition("-")[0].lower() for tag in (ui_locales or "").split()]
        wanted += _languages(accept_language or "")
        return [language for language in wanted if language in self._texts]


def _languages(accept_language: str) -> list[str]:
    """The primary language subtags of an `Accept-Language` header, best first (RFC 9110 12.5.4)."""
    weighted = []
    for item in accept_language.split(","):
        match = _LANGUAGE_RANGE.match(item)
        weight = _weight(match[2]) if match else 0.0
        if match and weight > 0:
            weighted.append((weight, match[1].lower()))
    return [language for _, language in sorted(weighted, key=lambda pair: -pair[0])]


def _weight(text: str | None) -> float:
    try:
        return 1.0 if text is None else float(text)
    except ValueError:
        return 0.0


def _is_web(uri: str | None) -> bool:
    """Whether a link may be shown: terms and privacy URIs can come from a registered client."""
    return uri is not None and uri.startswith(("https://", "http://"))


def _host(uri: str) -> str:
    """Where a link leads, for customers to see."""
    try:
        return urlsplit(uri).netloc.rpartition("@")[2]
    except ValueError:
        return ""
