-- The migrations of this version, in their order. A released one is never edited.
local migrator = require('migrator')

local M = {}

M.steps = {
    require('migrations.0001_initial'),
    require('migrations.0002_outbox'),
    require('migrations.0003_sending'),
    require('migrations.0004_taken'),
}

M.version = #M.steps

migrator.read_texts(M.steps)

-- Whether a later version has been at the store.
function M.are_outrun()
    local newest = box.space.schema_version.index.primary:max()
    return newest ~= nil and newest.version > M.version
end

-- Raises an error if the store is not one that this version can be used with, among nodes of other versions.
function M.check()
    if not M.are_outrun() then
        migrator.pending(M.steps)
    end
end

function M.apply()
    migrator.alone(function()
        return migrator.apply(M.steps)
    end)
end

return M
