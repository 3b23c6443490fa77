"""A transaction knows whether it has changed a row, by whatever method and in whatever space."""

import pytest

from tests.storage.builders import Owner

MADE = """
    local seen = box.schema.space.create('seen', { format = { { 'id', 'unsigned' } } })
    seen:create_index('primary')
    seen:insert({ 1, 1 })
    -- What a space is called by is made anew by each change of it.
    seen:format({ { 'id', 'unsigned' }, { 'value', 'unsigned' } })
    seen:create_index('value', { parts = { 'value' } })
    return true
"""
WROTE = """
    local space = box.space.seen
    local procedure = require('tx').procedure(function() {step} end)
    procedure({{}})
    for position = 1, 10 do
        local name, value = debug.getupvalue(procedure, position)
        if name == 'wrote' then return value end
    end
"""


@pytest.mark.parametrize(
    ("step", "wrote"),
    [
        ("space:insert({ 2, 2 })", True),
        ("space:put({ 2, 2 })", True),
        ("space:replace({ 1, 2 })", True),
        ("space:update(1, { { '=', 2, 1 } })", True),
        ("space:upsert({ 1, 1 }, { { '=', 2, 2 } })", True),
        ("space:upsert({ 2, 2 }, {})", True),
        ("space:delete(1)", True),
        ("space.index.value:update(1, { { '=', 2, 3 } })", True),
        ("space.index.value:delete(1)", True),
        ("space:get(1)", False),
        ("space:update(2, { { '=', 2, 1 } })", False),
        ("space:delete(2)", False),
    ],
)
async def test_a_write_is_seen(fresh_owner: Owner, step: str, *, wrote: bool) -> None:
    await fresh_owner.eval(MADE)
    assert await fresh_owner.eval(WROTE.format(step=step)) is wrote
