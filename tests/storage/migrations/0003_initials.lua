-- `changes` counts how often a row was changed.
local function up()
    box.space.person:format({
        { name = 'id', type = 'unsigned' }, { name = 'name', type = 'string' },
        { name = 'initial', type = 'string', is_nullable = true },
        { name = 'changes', type = 'unsigned', is_nullable = true },
    })
end

local function backfill(after, limit)
    local batch = box.space.person:select(after, { iterator = 'GT', limit = limit })
    for _, person in ipairs(batch) do
        box.space.person:update(person.id, {
            { '=', 'initial', person.name:sub(1, 1) }, { '=', 'changes', (person.changes or 0) + 1 },
        })
    end
    return #batch == limit and { batch[#batch].id } or nil
end

return { name = '0003_initials', up = up, backfill = backfill }
