-- Small things that every procedure needs.
local M = {}

local names = {} -- field names by space id

local function tuple(space, row)
    if names[space.id] == nil then
        local list = {}
        for _, field in ipairs(space:format()) do
            table.insert(list, field.name)
        end
        names[space.id] = list
    end
    local fields = {}
    local last = #names[space.id]
    for position, name in ipairs(names[space.id]) do
        fields[position] = row[name]
        -- An absent field takes its place, so that an update may set any of them later; it may append the last one.
        if row[name] == nil and position < last then
            fields[position] = box.NULL
        end
    end
    return fields
end

function M.insert(space, row)
    return space:insert(tuple(space, row))
end

function M.replace(space, row)
    return space:replace(tuple(space, row))
end

-- A live row or nil: at its `expires_at` a row is already dead.
function M.live(row, now)
    if row ~= nil and now < row.expires_at then
        return row
    end
    return nil
end

-- A nullable field as plain nil: box.NULL is truthy in Lua.
function M.plain(value)
    if value == nil then
        return nil
    end
    return value
end

return M
