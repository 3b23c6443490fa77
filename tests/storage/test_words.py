"""What stands in rows for texts that are in tens of millions of them."""

import pytest

from tests.storage.builders import Owner

TEXTS = [
    "",
    "openid",
    "openid profile phone offline_access",
    "loyalty",
    "loyalty openid",
    "openid loyalty phone",
    "openid loyalty orders:read",
    "loyalty orders:read openid",
    "phones openid-connect",
    "urn:x5id:acr:phone-otp",
    "otp sms",
    "otp pin",
]


@pytest.mark.parametrize("text", TEXTS)
async def test_a_text_comes_out_as_it_went_in(owner: Owner, text: str) -> None:
    lua = "local words, text = require('words'), ... local packed = words.pack(text)"

    assert await owner.eval(f"{lua} return words.unpack(packed)", text) == text
    assert await owner.eval(f"{lua} return words.unpack(words.pack(packed))", text) == text
    # A row that an earlier version has written.
    assert await owner.eval(f"{lua} return words.unpack(text)", text) == text


async def test_a_usual_scope_takes_a_byte_for_each_word(owner: Owner) -> None:
    lua = "return #require('words').pack(...)"

    assert await owner.eval(lua, "openid profile phone offline_access") == 4
