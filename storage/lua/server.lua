-- All that differs between versions of Tarantool. Tried with 2.6; the rest follows the release notes.
local M = {}

local function at_least(wanted_major, wanted_minor)
    local major, minor = require('tarantool').version:match('^(%d+)%.(%d+)')
    major, minor = tonumber(major), tonumber(minor)
    return major > wanted_major or (major == wanted_major and minor >= wanted_minor)
end

-- Makes every version behave as 2.6 does; returns the options of box.cfg for it.
function M.options()
    -- Tarantool would otherwise report its use to its vendor.
    local options = { feedback_enabled = false }
    if at_least(2, 11) then
        -- The newer strategies choose a founder by themselves; here the operator names it.
        options.bootstrap_strategy = 'legacy'
    end
    if at_least(3, 0) then
        -- A hash comes as bytes, which would be no string any more.
        require('compat').binary_data_decoding = 'old'
    end
    return options
end

-- Brings the system spaces to this version of Tarantool, on files that no other node has a part in. Without it 3.0
-- changes no schema and no password.
function M.upgrade()
    box.schema.upgrade()
end

-- The identifier that all nodes of a store share.
function M.replicaset()
    -- 3.0 gave the old name another meaning.
    return (box.info.replicaset or box.info.cluster).uuid
end

return M
