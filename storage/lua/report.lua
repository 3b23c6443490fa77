-- What an operator wants to know of one node.
local migrations = require('migrations')
local replication = require('replication')

local M = {}

local function spaces()
    local rows, oldest = {}, nil
    for _, row in box.space._space:pairs({ 512 }, { iterator = 'GE' }) do
        local space = box.space[row.name]
        rows[row.name] = space:len()
        local first = space.index.expires_at and space.index.expires_at:min()
        if first ~= nil and (oldest == nil or first.expires_at < oldest) then
            oldest = first.expires_at
        end
    end
    return rows, oldest
end

local function upstream()
    for _, peer in pairs(box.info.replication) do
        if peer.upstream ~= nil then
            return { status = peer.upstream.status, lag = peer.upstream.lag, idle = peer.upstream.idle }
        end
    end
    return nil
end

-- `oldest` is when the row expired, or will, that has been there longest past its time.
function M.report()
    local rows, oldest = spaces()
    local memory = box.slab.info()
    local version = box.space.schema_version.index.primary:max()
    return {
        tarantool = box.info.version,
        leads = replication.leads,
        upstream = upstream(),
        schema_version = version ~= nil and version.version or 0,
        knows_schema_version = migrations.version,
        memory = { used = memory.arena_used, quota = memory.quota_size },
        rows = rows,
        oldest_expiry = oldest,
    }
end

return M
