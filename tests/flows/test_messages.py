import pytest

from conf.channels import AndroidApp, Locale, Messages, Platform
from flows import messages
from flows.channel import Channel
from flows.ports import Kind

ISSUER = "https://id.example.com:8443/sub"
HASH = "FA+9qCX9VSu"
APART = "0, 1, 2, 3, 4, 5"


def channel(own: Messages | None = None, *, app_hash: str | None = None) -> Channel:
    return Channel(
        channel_id="shop",
        name={"ru": "Лавка", "en": "Shop"},
        locale="ru",
        color="#1a7f37",
        logo="",
        terms_uri="https://shop.example.com/terms",
        privacy_uri="https://shop.example.com/privacy",
        messages=own or Messages(),
        android=AndroidApp("com.example.shop", (), app_hash),
    )


OWN = Messages(
    one_time_code={"en": "{code} for {channel}, {{SMS}}"},
    messenger={"en": "{code} for {channel}, *chat*"},
    voice={"en": "{code} for {channel} at {origin}"},
)


@pytest.mark.parametrize(
    ("kind", "locale", "expected"),
    [
        ("sms", "ru", "Лавка: 012345. Никому не говорите\n\n@id.example.com #012345"),
        ("sms", "en", "012345 for Shop, {SMS}\n\n@id.example.com #012345"),
        ("messenger", "ru", "Лавка: код 012345. Никому его не сообщайте."),
        ("messenger", "en", "012345 for Shop, *chat*"),
        (
            "voice",
            "ru",
            f"Лавка. Ваш код: {APART}. Повторяем: {APART}. Никому его не сообщайте.",
        ),
        ("voice", "en", f"{APART} for Shop at id.example.com"),
        ("flash_call", "ru", ""),
    ],
)
def test_each_kind_has_a_text_in_each_locale(kind: Kind, locale: Locale, expected: str) -> None:
    assert messages.text(kind, locale, channel(OWN), "012345", ISSUER) == expected


@pytest.mark.parametrize("kind", ["sms", "messenger", "voice"])
@pytest.mark.parametrize("locale", ["ru", "en"])
def test_a_standard_text_names_the_channel_and_the_code(kind: Kind, locale: Locale) -> None:
    text = messages.text(kind, locale, channel(), "012345", ISSUER)
    assert channel().name[locale] in text
    assert "012345" in text.replace(", ", "")


@pytest.mark.parametrize(
    ("platform", "app_hash", "last_line"),
    [
        ("android", HASH, f"@id.example.com #012345 {HASH}"),
        ("android", None, "@id.example.com #012345"),
        ("ios", HASH, "@id.example.com #012345"),
        ("web", HASH, "@id.example.com #012345"),
        (None, HASH, "@id.example.com #012345"),
    ],
)
def test_the_last_line_is_for_browsers_and_ends_with_the_hash_of_an_android_app(
    platform: Platform | None, app_hash: str | None, last_line: str
) -> None:
    shop = channel(app_hash=app_hash)
    text = messages.text("sms", "en", shop, "012345", ISSUER, platform=platform)
    assert text.split("\n")[-1] == last_line
    assert text.split("\n")[-2] == ""


@pytest.mark.parametrize("kind", ["messenger", "voice"])
def test_what_is_no_sms_has_no_last_line(kind: Kind) -> None:
    shop = channel(app_hash=HASH)
    text = messages.text(kind, "en", shop, "012345", ISSUER, platform="android")
    assert "@" not in text
    assert HASH not in text
