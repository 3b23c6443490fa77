-- Channels and their clients as configuration: compared, applied as a whole, and what was before.
--
-- The documents are the protocol layer's. Of a channel's clients these procedures only touch those that channels files
-- manage (clients.lua).
local digest = require('digest')
local audit_trail = require('audit_trail')
local clients = require('clients')
local rows = require('rows')

local M = {}

local KEPT = 100 -- revisions that can be looked at and undone

function M.client_read(args)
    local row = box.space.client:get(args.client_id)
    if row == nil then
        return { type = 'unknown' }
    end
    -- A partner's client belongs to no channel.
    local channel = box.space.channel:get(row.channel_id)
    return { type = 'client', client = clients.describe(row), channel = channel ~= nil and channel.document or '' }
end

local function describe(channel)
    return { channel_id = channel.channel_id, document = channel.document }
end

function M.channel_read(args)
    local row = box.space.channel:get(args.channel_id)
    if row == nil then
        return { type = 'unknown' }
    end
    return { type = 'channel', document = row.document }
end

function M.channels_list()
    local list = {}
    for _, row in box.space.channel:pairs() do
        table.insert(list, describe(row))
    end
    return list
end

function M.revisions_read()
    local revisions = {}
    for _, row in box.space.revision:pairs() do
        revisions[row.name] = row.value
    end
    return setmetatable(revisions, { __serialize = 'map' })
end

local function sorted(names)
    local list = {}
    for name in pairs(names) do
        table.insert(list, name)
    end
    table.sort(list)
    return list
end

-- The named channels with the clients that files manage, the named clients wherever they are, and a digest of it all.
local function state(args)
    local channels, found = {}, {}
    for _, channel_id in ipairs(args.channel_ids) do
        local channel = box.space.channel:get(channel_id)
        if channel ~= nil then
            channels[channel_id] = describe(channel)
        end
        for _, client in box.space.client.index.channel_id:pairs(channel_id) do
            if client.source == 'channels' then
                found[client.client_id] = clients.describe(client)
            end
        end
    end
    for _, client_id in ipairs(args.client_ids) do
        local client = box.space.client:get(client_id)
        found[client_id] = client ~= nil and clients.describe(client) or nil
    end
    local answer, seen = { channels = {}, clients = {} }, {}
    for _, channel_id in ipairs(sorted(channels)) do
        local channel = channels[channel_id]
        table.insert(answer.channels, channel)
        table.insert(seen, { 'channel', channel_id, channel.document })
    end
    for _, client_id in ipairs(sorted(found)) do
        local client = found[client_id]
        table.insert(answer.clients, client)
        table.insert(seen, { 'client', client_id, client.channel_id, client.source, client.document })
    end
    answer.version = digest.sha256_hex(require('json').encode(seen))
    return answer
end

function M.channels_read(args)
    return state(args)
end

-- Puts `change.row` in the place of the row that there is; without it removes that. Answers both as they are kept.
local function write(change, attempt, now)
    local after = rows.plain(change.row)
    local space = change.kind == 'channel' and box.space.channel or box.space.client
    local known = space:get(change.id)
    local before = known ~= nil and (change.kind == 'channel' and describe(known) or clients.describe(known)) or nil
    if change.kind == 'client' and known == nil then
        clients.end_grants_of_before(change.id, attempt)
    elseif change.kind == 'client' and after == nil then
        clients.end_grants(change.id, attempt)
    end
    if after == nil then
        space:delete(change.id)
    elseif change.kind == 'channel' then
        space:replace({ change.id, after.document, now })
    else
        space:replace({ change.id, after.channel_id, after.source, after.document, now })
    end
    return before, after
end

-- A client that the changes would leave without its channel, or nil.
local function homeless(changes)
    local stays, goes = {}, {}
    for _, change in ipairs(changes) do
        local row = rows.plain(change.row)
        if change.kind == 'channel' then
            stays[change.id], goes[change.id] = row ~= nil, row == nil
        end
    end
    local moved = {}
    for _, change in ipairs(changes) do
        if change.kind == 'client' then
            local row = rows.plain(change.row)
            moved[change.id] = true
            if row ~= nil and not stays[row.channel_id]
                and (goes[row.channel_id] or box.space.channel:get(row.channel_id) == nil) then
                return change.id
            end
        end
    end
    for channel_id, gone in pairs(goes) do
        for _, client in box.space.client.index.channel_id:pairs(channel_id) do
            if gone and not moved[client.client_id] then
                return client.client_id
            end
        end
    end
    return nil
end

local function forget_oldest()
    local revisions = box.space.channel_revision
    while revisions:count() > KEPT do
        local oldest = revisions.index.primary:min().revision
        for _, change in box.space.channel_change:pairs(oldest) do
            box.space.channel_change:delete({ change.revision, change.position })
        end
        revisions:delete(oldest)
    end
end

-- Does the changes if the store is still what the caller compared with: of two operators at once, one is told.
function M.channels_apply(args)
    local last = box.space.channel_revision.index.primary:max()
    if last ~= nil and last.attempt == args.attempt then
        return { type = 'applied', revision = last.revision }
    end
    if state(args).version ~= args.version then
        return { type = 'stale' }
    end
    local client_id = homeless(args.changes)
    if client_id ~= nil then
        return { type = 'in_use', client_id = client_id }
    end
    local revision = (last ~= nil and last.revision or 0) + 1
    local detail = { revision = revision, undoes = args.undoes, added = {}, changed = {}, removed = {} }
    for position, change in ipairs(args.changes) do
        local before, after = write(change, args.attempt, args.now)
        rows.insert(box.space.channel_change, {
            revision = revision, position = position, kind = change.kind, id = change.id,
            before = before, after = after,
        })
        local what = before == nil and 'added' or after == nil and 'removed' or 'changed'
        table.insert(detail[what], change.id)
    end
    rows.insert(box.space.channel_revision, {
        revision = revision, at = args.now, by = args.by, reason = args.reason, forced = args.forced,
        undoes = args.undoes, attempt = args.attempt,
    })
    forget_oldest()
    clients.bump()
    audit_trail.record('channels_applied', args.now, { by = args.by, reason = args.reason, detail = detail })
    return { type = 'applied', revision = revision }
end

local function revision_of(row)
    return {
        revision = row.revision, at = row.at, by = row.by, reason = rows.plain(row.reason), forced = row.forced,
        undoes = rows.plain(row.undoes),
    }
end

-- The newest first, each with what it changed but not how.
function M.channel_revisions()
    local list = {}
    for _, row in box.space.channel_revision:pairs(nil, { iterator = 'REQ' }) do
        local revision = revision_of(row)
        revision.changed = {}
        for _, change in box.space.channel_change:pairs(row.revision) do
            local before, after = rows.plain(change.before), rows.plain(change.after)
            table.insert(revision.changed, {
                kind = change.kind, id = change.id, channel_id = (after or before).channel_id,
                what = before == nil and 'added' or after == nil and 'removed' or 'changed',
            })
        end
        table.insert(list, revision)
    end
    return list
end

function M.channel_revision_read(args)
    local row = args.revision and box.space.channel_revision:get(args.revision)
        or box.space.channel_revision.index.primary:max()
    if row == nil or (args.revision ~= nil and row.revision ~= args.revision) then
        return { type = 'unknown' }
    end
    local changes = {}
    for _, change in box.space.channel_change:pairs(row.revision) do
        table.insert(changes, {
            kind = change.kind, id = change.id, before = rows.plain(change.before), after = rows.plain(change.after),
        })
    end
    return { type = 'channel_revision', revision = revision_of(row), changes = changes }
end

return M
