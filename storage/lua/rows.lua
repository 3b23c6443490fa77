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
    for position, name in ipairs(names[space.id]) do
        -- An absent field takes its place, the last one too: an update may set any of them later, and one that a
        -- migration adds behind them.
        fields[position] = row[name]
        if row[name] == nil then
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
