import re

import pytest

from flows.claims import SCOPES
from idp.texts import Texts, load_texts


def test_both_locales_have_the_same_texts_with_the_same_values() -> None:
    def values(texts: Texts, key: str) -> set[str]:
        text = texts.texts[key]
        forms = [text] if isinstance(text, str) else text.values()
        return {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}

    ru, en = load_texts()["ru"], load_texts()["en"]
    assert ru.texts.keys() == en.texts.keys()
    assert {key: values(ru, key) for key in ru.texts} == {key: values(en, key) for key in en.texts}


@pytest.mark.parametrize("key", sorted(load_texts()["en"].texts))
def test_plural_texts_have_every_form_of_their_language(key: str) -> None:
    for texts, forms in ((load_texts()["ru"], "one few many"), (load_texts()["en"], "one other")):
        text = texts.texts[key]
        assert isinstance(text, str) or text.keys() == set(forms.split())


@pytest.mark.parametrize(
    ("seconds", "ru", "en"),
    [
        (0, "1 секунду", "1 second"),
        (42, "42 секунды", "42 seconds"),
        (60, "1 минуту", "1 minute"),
        (61, "2 минуты", "2 minutes"),
        (3600, "60 минут", "60 minutes"),
        (7201, "3 часа", "3 hours"),
    ],
)
def test_a_waiting_time_is_rounded_up(seconds: int, ru: str, en: str) -> None:
    assert load_texts()["ru"].duration(seconds) == ru
    assert load_texts()["en"].duration(seconds) == en


@pytest.mark.parametrize(
    ("at", "ru", "en"),
    [
        (0, "1 января 1970 г.", "1 January 1970"),
        (1_790_000_000, "21 сентября 2026 г.", "21 September 2026"),
        (1_798_761_599, "31 декабря 2026 г.", "31 December 2026"),
    ],
)
def test_a_day_is_told_in_words(at: int, ru: str, en: str) -> None:
    assert load_texts()["ru"].date(at).replace("\N{NO-BREAK SPACE}", " ") == ru
    assert load_texts()["en"].date(at) == en


@pytest.mark.parametrize("scope", SCOPES)
def test_customers_are_told_what_each_scope_is(scope: str) -> None:
    for texts in load_texts().values():
        assert texts.text(f"scope.{scope}.name")
        assert texts.text(f"scope.{scope}.gives")
