"""What stands in rows for the letters of tens of millions of names."""

import pytest

from tests.storage.builders import Owner

RUSSIAN = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ" + "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
NAMES = ["", "Анна", "Фёдор", "Анна-Мария", "Анна Maria", RUSSIAN]
OTHERS = [
    "Anna",
    "Әлия",
    "Олександр Ґалаґан",
    "François",
    "Анна é",
    "李",
    "Ян 🙂",
    "Ѐ",
    "Ђ",
    "ѐ",
    "Ҁ",
]
LUA = "local letters, text = require('letters'), ... local packed = letters.pack(text)"


@pytest.mark.parametrize("name", NAMES + OTHERS)
async def test_a_name_comes_out_as_it_went_in(owner: Owner, name: str) -> None:
    assert await owner.eval(f"{LUA} return letters.unpack(packed)", name) == name
    assert await owner.eval(f"{LUA} return letters.unpack(letters.pack(packed))", name) == name
    # A row that an earlier version has written.
    assert await owner.eval(f"{LUA} return letters.unpack(text)", name) == name


async def test_a_russian_letter_takes_a_byte(owner: Owner) -> None:
    for name in NAMES:
        assert await owner.eval(f"{LUA} return #packed", name) == len(name)


async def test_a_name_with_another_letter_stays_as_it_is(owner: Owner) -> None:
    for name in OTHERS:
        assert await owner.eval(f"{LUA} return packed", name) == name
