-- Applies the migrations of the version that sends this, or with `dry_run` tells which: also inside a running store of
-- an earlier version. `sources` are the texts of the modules; `names` are those of the migrations, in their order.
local sources, names, order = ...

local function load(name)
    return assert(loadstring(sources[name], '@' .. name .. '.lua'))()
end

local migrator, audit_trail = load('migrator'), load('audit_trail')
local steps = {}
for place, name in ipairs(names) do
    steps[place] = load(name)
    steps[place].text = sources[name]
end

if order.dry_run then
    return migrator.pending(steps)
end

local function note(step)
    audit_trail.record('store_migrated', order.now, {
        by = order.by, reason = order.reason, detail = { migration = step.name },
    })
end

return migrator.alone(function()
    local applied = migrator.apply(steps, note)
    -- Of one of several nodes. The others take their time, too, to build an index.
    local replication = package.loaded.replication
    while replication ~= nil and not pcall(replication.await_write) do
        if not replication.leads then
            error('the node does not lead any more, and another one may not have this: repeat the command', 0)
        end
    end
    return applied
end)
