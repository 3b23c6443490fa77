-- Channels and clients, kept as documents that the protocol layer reads and writes.
local audit_trail = require('audit_trail')

local M = {}

local function bump(name)
    box.space.revision:upsert({ name, 1 }, { { '+', 2, 1 } })
end

local function client(row)
    return { client_id = row.client_id, channel_id = row.channel_id, document = row.document }
end

function M.client_read(args)
    local row = box.space.client:get(args.client_id)
    if row == nil then
        return { type = 'unknown' }
    end
    return { type = 'client', client = client(row), channel = box.space.channel:get(row.channel_id).document }
end

function M.clients_list()
    local list = {}
    for _, row in box.space.client:pairs() do
        table.insert(list, client(row))
    end
    return list
end

function M.channel_read(args)
    local row = box.space.channel:get(args.channel_id)
    if row == nil then
        return { type = 'unknown' }
    end
    return { type = 'channel', document = row.document }
end

function M.revisions_read()
    local revisions = {}
    for _, row in box.space.revision:pairs() do
        revisions[row.name] = row.value
    end
    return setmetatable(revisions, { __serialize = 'map' })
end

local function put(space, row, change)
    local known = space:get(row[1])
    -- The second field is a channel's document, or where a client belongs.
    if known ~= nil and known[2] == row[2] and known.document == row[#row - 1] then
        change.unchanged = change.unchanged + 1
        return
    end
    space:replace(row)
    table.insert(known == nil and change.added or change.changed, row[1])
end

-- The named channels become exactly what is given; channels that are not named stay as they are.
function M.channels_apply(args)
    local change = { added = {}, changed = {}, removed = {}, unchanged = 0 }
    local listed = {}
    for _, given in ipairs(args.clients) do
        listed[given.client_id] = true
    end
    for _, channel in ipairs(args.channels) do
        put(box.space.channel, { channel.channel_id, channel.document, args.now }, change)
        for _, row in box.space.client.index.channel_id:pairs(channel.channel_id) do
            if not listed[row.client_id] then
                box.space.client:delete(row.client_id)
                table.insert(change.removed, row.client_id)
            end
        end
    end
    for _, given in ipairs(args.clients) do
        put(box.space.client, { given.client_id, given.channel_id, given.document, args.now }, change)
    end
    if #change.added + #change.changed + #change.removed > 0 then
        bump('clients')
        audit_trail.record('channels_applied', args.now, {
            by = args.by,
            detail = { added = change.added, changed = change.changed, removed = change.removed },
        })
    end
    return change
end

return M
