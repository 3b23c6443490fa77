"""The audit trail is one chain: what is done to its rows afterwards is found out."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import audit_trail
from storage.audit_chain import BEGINNING, ChainError, row_hash
from storage.audit_trail import PAGE, Wanted
from storage.records import AuditEvent, AuditPosition
from storage.store import Store
from tests.storage.builders import MANY, NOW, Owner, at_once, open_grant

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
OPTIONAL = st.none() | TEXTS
DETAILS = st.none() | st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5),
    TEXTS | st.booleans() | st.integers(-(2**53), 2**53) | st.lists(TEXTS, max_size=3),
    min_size=1,
    max_size=4,
)
# What somebody with the owner's password can do to the row 5 of nine.
TAMPERING = {
    "changed": "audit:update(5, { { '=', 'sub', 'somebody else' } })",
    "reason added": "audit:update(5, { { '=', 'reason', 'by mistake' } })",
    "absent made empty": "audit:update(5, { { '=', 'by', '' } })",
    "moved to the next field": """
        audit:update(5, { { '=', 'client_id', 'sub-2' }, { '=', 'sub', box.NULL } })
    """,
    "earlier": "audit:update(5, { { '-', 'at', 1 } })",
    "hash changed": "audit:update(5, { { '=', 'hash', ('x'):rep(32) } })",
}
# Changes a row, and computes the hashes anew from there to the end.
COMPUTE_ANEW = """
    local rows = box.space.audit:select(4, { iterator = 'GT' })
    for _, row in ipairs(rows) do box.space.audit:delete(row.seq) end
    for _, row in ipairs(rows) do
        local sub = row.seq == 5 and 'other' or row.sub
        require('audit_trail').record(row.event, row.at, { sub = sub })
    end
    return true
"""


async def record(owner: Owner, event: str = "tested", at: int = NOW, **fields: Any) -> None:
    given = {name: value for name, value in fields.items() if value is not None}
    lua = "box.begin() require('audit_trail').record(...) box.commit() return true"
    await owner.eval(lua, event, at, given)


async def record_many(owner: Owner, count: int, at: int = NOW) -> None:
    lua = """
        local count, at = ...
        box.begin()
        for number = 1, count do
            require('audit_trail').record('tested', at + number, { sub = 'sub-' .. number % 3 })
        end
        box.commit()
        return true
    """
    await owner.eval(lua, count, at)


async def all_rows(store: Store) -> tuple[AuditEvent, ...]:
    return await store.audit_read(limit=1_000_000)


async def broken(store: Store, *expected: AuditPosition) -> str:
    with pytest.raises(ChainError) as caught:
        (await audit_trail.verify(store, expected)).end()
    return str(caught.value)


@pytest.fixture
async def head(fresh_store: Store, fresh_owner: Owner) -> AuditPosition:
    """The head of a trail of nine rows, as somebody has noted it."""
    await record_many(fresh_owner, 9)
    return (await fresh_store.audit_ends()).head


# The chain


async def test_an_empty_trail_is_a_chain(fresh_store: Store) -> None:
    chain = await audit_trail.verify(fresh_store)

    assert chain.head == BEGINNING


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    event=TEXTS,
    fields=st.fixed_dictionaries(
        {"sub": OPTIONAL, "client_id": OPTIONAL, "by": OPTIONAL, "reason": OPTIONAL}
    ),
    detail=DETAILS,
)
async def test_the_store_and_the_verifier_compute_the_same_hash_of_any_fields(
    store: Store,
    owner: Owner,
    event: str,
    fields: dict[str, Any],
    detail: dict[str, Any] | None,
) -> None:
    before = (await store.audit_ends()).head

    await record(owner, event, detail=detail, **fields)

    (row,) = await store.audit_read(after=before.seq)
    assert row.event == event
    assert {name: getattr(row, name) for name in fields} == fields
    assert (row.detail and json.loads(row.detail)) == detail
    assert row.hash == row_hash(before.hash, row)


async def test_the_members_of_a_detail_are_in_the_order_of_their_names(
    store: Store, owner: Owner
) -> None:
    before = (await store.audit_ends()).head

    await record(owner, detail={"b": {"z": [], "y": [True]}, "a": 1, "c": "1/2"})

    (row,) = await store.audit_read(after=before.seq)
    assert row.detail == r'{"a":1,"b":{"y":[true],"z":[]},"c":"1\/2"}'


async def test_what_nobody_says_is_told_from_what_is_empty() -> None:
    said = AuditEvent(seq=1, at=1, event="e", by="", hash="")
    unsaid = AuditEvent(seq=1, at=1, event="e", hash="")

    assert row_hash(BEGINNING.hash, said) != row_hash(BEGINNING.hash, unsaid)


async def test_a_field_does_not_reach_into_the_next() -> None:
    one = AuditEvent(seq=1, at=1, event="e", sub="1:a,-", hash="")
    other = AuditEvent(seq=1, at=1, event="e", sub="1:a,", client_id="-", hash="")

    assert row_hash(BEGINNING.hash, one) != row_hash(BEGINNING.hash, other)


async def test_many_writers_make_one_chain(fresh_store: Store) -> None:
    await at_once(open_grant(fresh_store) for _ in range(MANY))

    chain = await audit_trail.verify(fresh_store)

    assert chain.rows == (await fresh_store.audit_ends()).head.seq >= MANY


async def test_a_transaction_that_is_rolled_back_leaves_no_hole(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition
) -> None:
    await fresh_owner.eval("""
        box.begin()
        require('audit_trail').record('undone', 1, {})
        box.rollback()
        return true
    """)
    await record(fresh_owner)

    assert [row.event for row in await fresh_store.audit_read(after=head.seq)] == ["tested"]
    assert (await audit_trail.verify(fresh_store, [head])).head.seq == 10


# Tampering


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
async def test_a_changed_row_is_named(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition, statement: str
) -> None:
    await fresh_owner.eval(f"local audit = box.space.audit {statement} return true")

    assert (await broken(fresh_store)).startswith("row 5 does not fit")


async def test_missing_rows_are_named(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition
) -> None:
    await fresh_owner.eval("for seq = 4, 6 do box.space.audit:delete(seq) end return true")

    assert await broken(fresh_store) == "rows 4 to 6 are missing, before row 7"


async def test_a_missing_row_is_found_where_the_others_moved_up(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition
) -> None:
    await fresh_owner.eval("""
        for seq = 5, 8 do
            box.space.audit:replace(box.space.audit:get(seq + 1):update({ { '=', 'seq', seq } }))
        end
        box.space.audit:delete(9)
        return true
    """)

    assert (await broken(fresh_store)).startswith("row 5 does not fit")


async def test_an_inserted_row_is_named(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition
) -> None:
    await fresh_owner.eval("""
        box.space.audit:insert(box.space.audit:get(9):update({ { '=', 'seq', 10 } }))
        return true
    """)

    assert (await broken(fresh_store)).startswith("row 10 does not fit")


async def test_rows_that_changed_places_are_named(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition
) -> None:
    await fresh_owner.eval("""
        local audit = box.space.audit
        local third, sixth = audit:get(3), audit:get(6)
        audit:replace(third:update({ { '=', 'seq', 6 } }))
        audit:replace(sixth:update({ { '=', 'seq', 3 } }))
        return true
    """)

    assert (await broken(fresh_store)).startswith("row 3 does not fit")


async def test_missing_first_rows_are_named(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition
) -> None:
    await fresh_owner.eval("box.space.audit:delete(1) return true")

    assert await broken(fresh_store) == "rows 1 to 1 are missing, before row 2"


async def test_a_cut_off_end_is_found_out_by_the_noted_head(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition
) -> None:
    await fresh_owner.eval("box.space.audit:delete(9) return true")

    assert (await audit_trail.verify(fresh_store)).head.seq == 8
    assert (await broken(fresh_store, head)).startswith("row 9 is missing")


async def test_a_chain_that_was_computed_anew_is_found_out_by_the_noted_head(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition
) -> None:
    await fresh_owner.eval(COMPUTE_ANEW)
    await record_many(fresh_owner, 3)

    assert (await audit_trail.verify(fresh_store)).head.seq == 12
    assert (await broken(fresh_store, head)).startswith("row 9 has another hash than expected")


async def test_the_noted_head_fits_for_as_long_as_the_trail_grows(
    fresh_store: Store, fresh_owner: Owner, head: AuditPosition
) -> None:
    await record_many(fresh_owner, PAGE * 2)

    chain = await audit_trail.verify(fresh_store, [head])
    chain.end()

    assert chain.rows == PAGE * 2 + 9


# Reading


async def chosen(store: Store, wanted: Wanted, after: int = 0) -> list[int]:
    return [event.seq async for event in audit_trail.onward(store, wanted, after)]


@pytest.mark.parametrize("count", [1, PAGE - 1, PAGE, PAGE + 1, PAGE * 3])
async def test_every_event_is_read_once_whatever_the_pages(
    fresh_store: Store, fresh_owner: Owner, count: int
) -> None:
    await record_many(fresh_owner, count)

    rows = await all_rows(fresh_store)

    assert await chosen(fresh_store, Wanted()) == [row.seq for row in rows]
    assert await audit_trail.newest(fresh_store, Wanted(), count) == list(rows)
    assert await audit_trail.newest(fresh_store, Wanted(), 2) == list(rows[-2:])


async def test_events_are_chosen_by_their_fields(fresh_store: Store, fresh_owner: Owner) -> None:
    await record_many(fresh_owner, PAGE * 2)
    await record(fresh_owner, "other", by="ann@ops", client_id="app", sub="sub-1")
    wanted = Wanted({"sub": "sub-1"})
    expected = [*range(1, PAGE * 2 + 1, 3), PAGE * 2 + 1]

    assert await chosen(fresh_store, wanted) == expected
    assert await chosen(fresh_store, wanted, after=PAGE) == [s for s in expected if s > PAGE]
    newest = await audit_trail.newest(fresh_store, wanted, 300)
    assert [event.seq for event in newest] == expected[-300:]
    for match in ({"event": "other"}, {"by": "ann@ops"}, {"client_id": "app"}):
        assert await chosen(fresh_store, Wanted(match)) == [PAGE * 2 + 1]
    assert await chosen(fresh_store, Wanted({"event": "other", "by": "bob@ops"})) == []


async def test_events_are_chosen_by_their_time(fresh_store: Store, fresh_owner: Owner) -> None:
    await record_many(fresh_owner, PAGE * 4)

    span = Wanted(since=NOW + 700, until=NOW + 1_300)

    assert await chosen(fresh_store, span) == list(range(700, 1_301))
    newest = await audit_trail.newest(fresh_store, span, 3)
    assert [event.seq for event in newest] == [1_298, 1_299, 1_300]
    assert await chosen(fresh_store, Wanted(since=NOW + PAGE * 4 + 1)) == []
    assert await chosen(fresh_store, Wanted(until=NOW)) == []


async def test_clocks_that_differ_hide_no_event(fresh_store: Store, fresh_owner: Owner) -> None:
    for at in (0, 100, 290, 10, 300, 5, 310):
        await record(fresh_owner, at=NOW + at)

    assert await chosen(fresh_store, Wanted(since=NOW + 5, until=NOW + 10)) == [4, 6]
