"""Disguises: one for each context, made by nobody else, seen through by us alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.pseudonyms import disguised, undisguised

SECRET, OTHER_SECRET = bytes(range(32)), bytes(32)
SUB = "V1StGXR8_Z5jdHi6B-myTg"

identifiers = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100)
contexts = st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=3)


@given(identifiers, contexts)
def test_a_disguise_is_always_the_same_and_leads_back(identifier: str, context: list[str]) -> None:
    disguise = disguised(SECRET, identifier, *context)

    assert disguise == disguised(SECRET, identifier, *context)
    assert undisguised(SECRET, disguise, *context) == identifier
    assert disguise != identifier
    assert disguise.isascii()


@pytest.mark.parametrize(
    "other", [("sub",), ("a.example", "sub"), ("sub", "a.exampl"), ("sub", "a", ".example"), ()]
)
def test_another_context_has_another_disguise(other: tuple[str, ...]) -> None:
    disguise = disguised(SECRET, SUB, "sub", "a.example")

    assert disguised(SECRET, SUB, *other) != disguise
    assert undisguised(SECRET, disguise, *other) is None


def test_another_secret_has_another_disguise() -> None:
    disguise = disguised(SECRET, SUB, "sub")

    assert disguised(OTHER_SECRET, SUB, "sub") != disguise
    assert undisguised(OTHER_SECRET, disguise, "sub") is None


def test_no_part_of_a_disguise_tells_that_two_contexts_know_the_same() -> None:
    one, other = (disguised(SECRET, SUB, "sub", it) for it in ("a.example", "b.example"))

    assert sum(a == b for a, b in zip(one, other, strict=True)) < len(one) // 4


def test_a_disguise_is_a_subject_as_openid_connect_core_2_limits_it() -> None:
    assert len(disguised(SECRET, "a" * 150, "sub", "a.example")) <= 255


@pytest.mark.parametrize("made_up", ["", "A", "AA", "A" * 22, "A" * 51, "имя", "\x00", "=", SUB])
def test_what_was_made_up_is_no_disguise(made_up: str) -> None:
    assert undisguised(SECRET, made_up, "sub") is None


@given(st.data())
def test_no_letter_of_a_disguise_can_be_changed(data: st.DataObject) -> None:
    disguise = disguised(SECRET, SUB, "sub")
    position = data.draw(st.integers(0, len(disguise) - 1))
    letter = data.draw(st.sampled_from("ABCxyz019-_ =").filter(lambda it: it != disguise[position]))

    changed = disguise[:position] + letter + disguise[position + 1 :]

    assert undisguised(SECRET, changed, "sub") is None
