-- The migrations of this version, in their order. A released one is never edited.
local migrator = require('migrator')

local M = {}

M.steps = {
    require('migrations.0001_initial'),
    require('migrations.0002_outbox'),
    require('migrations.0003_sending'),
}

M.version = #M.steps

migrator.read_texts(M.steps)

function M.apply()
    migrator.apply(M.steps)
end

return M
