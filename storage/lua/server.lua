-- All that differs between versions of Tarantool. Tried with 2.6; the rest follows the release notes.
local M = {}

local function at_least(wanted_major, wanted_minor)
    local major, minor = require('tarantool').version:match('^(%d+)%.(%d+)')
    major, minor = tonumber(major), tonumber(minor)
    return major > wanted_major or (major == wanted_major and minor >= wanted_minor)
end

-- Options of box.cfg that make every version behave as 2.6 does.
function M.options()
    -- Tarantool would otherwise report its use to its vendor.
    local options = { feedback_enabled = false }
    if at_least(2, 11) then
        -- The newer strategies choose a founder by themselves; here the operator names it.
        options.bootstrap_strategy = 'legacy'
    end
    return options
end

-- The identifier that all nodes of a store share.
function M.replicaset()
    -- 3.0 gave the old name another meaning.
    return (box.info.replicaset or box.info.cluster).uuid
end

return M
