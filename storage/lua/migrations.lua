-- Ordered steps from an empty place to this version's schema; the version row is part of each step.
local M = {}

local STEPS = {
    require('migrations.0001_initial'),
    require('migrations.0002_outbox'),
}

M.version = #STEPS

local function applied_version()
    local space = box.space.schema_version
    if space == nil then
        return 0
    end
    local last = space.index.primary:max()
    return last and last.version or 0
end

function M.apply()
    local from = applied_version()
    if from > M.version then
        error(('the store has schema version %d, this server knows only %d'):format(from, M.version), 0)
    end
    for version = from + 1, M.version do
        local step = STEPS[version]
        box.begin()
        local ok, reason = pcall(step.up)
        if not ok then
            box.rollback()
            error(('migration %s failed: %s'):format(step.name, tostring(reason)), 0)
        end
        box.space.schema_version:insert({ version, step.name, os.time() })
        box.commit()
    end
end

return M
