"""Reading the tables of one channel: brand, support, messages, lifetimes, what it may ask, apps."""

import re
import string
from collections.abc import Callable, Collection, Iterator
from typing import Final, TypeVar

from conf.channels import (
    LOCALES,
    AndroidApp,
    Brand,
    ChannelLifetimes,
    IosApp,
    Locale,
    Messages,
    Support,
)
from conf.decoding import Form, Table
from conf.model import LIFETIME_BOUNDS
from conf.svg import svg_faults

T = TypeVar("T")

_LOCALE: Final = Form(re.compile("|".join(LOCALES)), f"must be {' or '.join(LOCALES)}")
_COLOR: Final = Form(re.compile("#[0-9a-f]{6}"), "must be a colour such as #1a7f37, in lower case")
_SUPPORT_PHONE: Final = Form(
    re.compile(r"\+[1-9]([ ()-]{0,2}[0-9]){6,14}"),
    "must be a phone number with its country's code, such as +7 800 555-35-35",
)
_EMAIL: Final = Form(
    re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"),
    "must be an e-mail address",
)
# 3GPP TS 23.040 9.1.2.5: an alphanumeric originating address has at most eleven characters.
_SENDER: Final = Form(
    re.compile(r"[0-9]{3,15}|(?=.*[A-Za-z])[A-Za-z0-9]([A-Za-z0-9 ._-]{0,9}[A-Za-z0-9])?"),
    "must be at most 11 Latin letters, digits, spaces and . _ -, or 3 to 15 digits",
)
_SCOPE: Final = Form(re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+"), "must be a scope (RFC 6749 3.3)")
_CLAIM: Final = Form(re.compile(r"[a-z_]+"), "must be the name of a claim")
_PACKAGE: Final = Form(
    re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+"),
    "must be an application ID such as com.example.shop",
)
_FINGERPRINT: Final = Form(
    re.compile(r"[0-9A-F]{2}(:[0-9A-F]{2}){31}"),
    "must be a SHA-256 fingerprint: 32 bytes in upper-case hexadecimal, with colons between",
)
# Base64, of which the first eleven characters are taken.
_RETRIEVER_HASH: Final = Form(
    re.compile(r"[A-Za-z0-9+/]{11}"),
    "must be the 11 characters by which the SMS Retriever knows the app",
)
_APP_ID: Final = Form(
    re.compile(r"[A-Z0-9]{10}(\.[A-Za-z0-9-]+){2,}"),
    "must be an application identifier such as ABCDE12345.com.example.shop",
)
_PLACEHOLDERS: Final = ("code", "channel", "origin")


def optional(table: Table, name: str, read: Callable[[Table], T]) -> T | None:
    """What `read` makes of the table below `name`; None if it is absent."""
    return read(table.table(name)) if name in table else None


def read_locales(table: Table) -> tuple[Locale, tuple[Locale, ...]]:
    """The locale that a channel speaks where nobody prefers another, and all that it offers."""
    locale = table.text("locale", form=_LOCALE)
    offered = _names(table, "locales", _LOCALE) if "locales" in table else LOCALES
    if locale and offered and locale not in offered:
        table.fault("locales", f"must have {locale}, the channel's locale")
    known = tuple(it for it in LOCALES if it in offered)
    return next((it for it in LOCALES if it == locale), LOCALES[0]), known or LOCALES


def read_brand(table: Table, locales: Collection[Locale]) -> Brand:
    """A brand, with a name in each of `locales`."""
    name = table.table("name")
    return Brand(
        name={it: name.text(it) for it in LOCALES if it in locales or it in name},
        color=table.text("color", form=_COLOR),
        logo=_drawing(table, "logo"),
        favicon=_drawing(table, "favicon") if "favicon" in table else "",
        terms_uri=table.url("terms_uri"),
        privacy_uri=table.url("privacy_uri"),
    )


def read_support(table: Table) -> Support:
    """Where a customer finds help."""
    support = Support(
        phone=table.text("phone", form=_SUPPORT_PHONE) if "phone" in table else None,
        email=table.text("email", form=_EMAIL) if "email" in table else None,
        url=table.url("url") if "url" in table else None,
    )
    if support == Support():
        table.fault("", "must have a phone, an email or a url")
    return support


def read_messages(table: Table, locales: Collection[Locale]) -> Messages:
    """Whom messages come from, and the texts in some of `locales`."""
    return Messages(
        sender=table.text("sender", form=_SENDER) if "sender" in table else None,
        one_time_code=_templates(table.table("one_time_code"), locales),
        messenger=_templates(table.table("messenger"), locales),
        voice=_templates(table.table("voice"), locales),
    )


def read_lifetimes(table: Table) -> ChannelLifetimes:
    """What the channel wants shorter than the installation has it."""
    bounds = {**LIFETIME_BOUNDS, "sign_in": LIFETIME_BOUNDS["session_absolute"]}
    lifetimes = ChannelLifetimes(
        **{
            name: table.integer(f"{name}_seconds", bounds[name][0], *bounds[name])
            for name in ChannelLifetimes.__dataclass_fields__
            if f"{name}_seconds" in table
        }
    )
    idle, absolute = lifetimes.refresh_idle, lifetimes.refresh_absolute
    if idle is not None and absolute is not None and idle > absolute:
        table.fault("refresh_idle_seconds", "must not be over refresh_absolute_seconds")
    return lifetimes


def read_scopes(table: Table) -> tuple[str, ...] | None:
    """The scopes that a channel's clients may ask for; None is all."""
    if "scopes" not in table:
        return None
    scopes = _names(table, "scopes", _SCOPE)
    if scopes and "openid" not in scopes:
        table.fault("scopes", "must have openid")
    return scopes


def read_claims(table: Table) -> tuple[str, ...] | None:
    """The claims that a channel's clients may learn; None is all."""
    return _names(table, "claims", _CLAIM) if "claims" in table else None


def read_android(table: Table) -> AndroidApp:
    """The channel's app for Android."""
    app_hash = "sms_retriever_hash"
    return AndroidApp(
        table.text("package_name", form=_PACKAGE),
        _names(table, "sha256_cert_fingerprints", _FINGERPRINT),
        table.text(app_hash, form=_RETRIEVER_HASH) if app_hash in table else None,
    )


def read_ios(table: Table) -> IosApp:
    """The channel's app for iOS."""
    return IosApp(table.text("app_id", form=_APP_ID))


def _names(table: Table, name: str, form: Form) -> tuple[str, ...]:
    """A list of at least one text, each of that form and there once."""
    values = table.texts(name, required=True)
    for index, value in enumerate(values):
        if not form.pattern.fullmatch(value):
            table.fault(f"{name}[{index}]", form.what)
        elif value in values[:index]:
            table.fault(f"{name}[{index}]", "is there twice")
    return values


def _drawing(table: Table, name: str) -> str:
    if not table.text(name):
        return ""
    svg = table.file_text(name, table.path(name))
    for what in svg_faults(svg) if svg else ():
        table.fault(name, what)
    return svg


def _templates(table: Table, locales: Collection[Locale]) -> dict[str, str]:
    templates: dict[str, str] = {it: table.text(it) for it in locales if it in table}
    for locale, text in templates.items():
        for what in _template_faults(text) if text else ():
            table.fault(locale, what)
    return templates


def _template_faults(text: str) -> Iterator[str]:
    try:
        fields = [
            (name, spec, conversion)
            for _, name, spec, conversion in string.Formatter().parse(text)
            if name is not None
        ]
    except ValueError:
        yield "must write a brace that is meant as such twice"
        return
    names = [name for name, _, _ in fields]
    if "code" not in names:
        yield "must have {code}"
    if any(name not in _PLACEHOLDERS or spec or conversion for name, spec, conversion in fields):
        yield "must have no other placeholders than " + ", ".join(
            f"{{{it}}}" for it in _PLACEHOLDERS
        )
