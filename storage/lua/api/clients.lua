-- Clients one by one: made, changed and removed; and what proves them, used once.
local audit_trail = require('audit_trail')
local clients = require('clients')
local revocations = require('revocations')

local M = {}

function M.clients_page(args)
    local list = {}
    for _, row in box.space.client:pairs(args.after, { iterator = 'GT' }) do
        if #list == args.limit then
            return { clients = list, after = list[#list].client_id }
        end
        table.insert(list, clients.describe(row))
    end
    return { clients = list }
end

local function record(event, args)
    audit_trail.record(event, args.now, {
        client_id = args.client_id, by = args.by, reason = args.reason, detail = args.detail,
    })
end

function M.client_create(args)
    local known = box.space.client:get(args.client_id)
    if known ~= nil then
        return { type = known.document == args.document and 'created' or 'exists' }
    end
    if args.channel_id ~= '' and box.space.channel:get(args.channel_id) == nil then
        return { type = 'unknown' }
    end
    clients.end_grants_of_before(args.client_id, args.revocation_id)
    clients.insert(args, args.now)
    record('client_created', args)
    return { type = 'created' }
end

-- The caller says what it looked at, so that of two who change a client at once one is told. With a `revocation_id`
-- the client's grants end, too.
function M.client_update(args)
    local known = box.space.client:get(args.client_id)
    if known == nil then
        return { type = 'unknown' }
    end
    if known.document == args.document then
        return { type = 'changed' }
    end
    if known.document ~= args.old_document then
        return { type = 'stale' }
    end
    if args.revocation_id ~= nil then
        clients.end_grants(args.client_id, args.revocation_id)
    end
    clients.set_document(args.client_id, args.document, args.now)
    record('client_' .. args.change, args)
    return { type = 'changed' }
end

function M.client_delete(args)
    if box.space.client:get(args.client_id) == nil then
        local repeated = revocations.any('client', args.client_id, args.revocation_id)
        return { type = repeated and 'deleted' or 'unknown' }
    end
    clients.end_grants(args.client_id, args.revocation_id)
    clients.delete(args.client_id)
    record('client_deleted', args)
    return { type = 'deleted' }
end

-- RFC 7523 3: a `jti` is good once; a repetition of the same request is not another use.
function M.assertion_use(args)
    local known = box.space.client_assertion:get({ args.client_id, args.jti_hash })
    if known ~= nil then
        return { type = known.attempt == args.attempt and 'accepted' or 'used_before' }
    end
    box.space.client_assertion:insert({ args.client_id, args.jti_hash, args.attempt, args.expires_at })
    return { type = 'accepted' }
end

return M
