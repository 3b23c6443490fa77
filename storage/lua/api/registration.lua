-- Dynamic registration (RFC 7591): the initial access tokens, and clients that are made by one or without any.
local audit_trail = require('audit_trail')
local clients = require('clients')
local limits = require('limits')
local memory = require('memory')
local rows = require('rows')

local M = {}

local function describe(token)
    return {
        token_id = token.token_id, policy = token.policy, most_clients = token.most_clients,
        registered = token.registered, created_at = token.created_at, created_by = token.created_by,
        expires_at = token.expires_at, revoked_at = rows.plain(token.revoked_at),
    }
end

-- The token, if one more client may be registered with it.
local function usable(token_hash, now)
    local token = rows.live(box.space.initial_access_token.index.token_hash:get(token_hash), now)
    if token == nil or token.revoked_at ~= nil or token.registered >= token.most_clients then
        return nil
    end
    return token
end

function M.initial_access_token_create(args)
    if box.space.initial_access_token:get(args.token_id) ~= nil then
        return { type = 'created' }
    end
    rows.insert(box.space.initial_access_token, {
        token_id = args.token_id, token_hash = args.token_hash, policy = args.policy,
        most_clients = args.most_clients, registered = 0, created_at = args.now, created_by = args.by,
        expires_at = args.expires_at,
    })
    audit_trail.record('initial_access_token_created', args.now, {
        by = args.by, reason = args.reason,
        detail = { token_id = args.token_id, most_clients = args.most_clients, expires_at = args.expires_at },
    })
    return { type = 'created' }
end

function M.initial_access_token_read(args)
    local token = usable(args.token_hash, args.now)
    if token == nil then
        return { type = 'unknown' }
    end
    return { type = 'initial_access_token', token = describe(token) }
end

function M.initial_access_tokens_list()
    local list = {}
    for _, token in box.space.initial_access_token:pairs() do
        table.insert(list, describe(token))
    end
    return list
end

function M.initial_access_token_revoke(args)
    local token = box.space.initial_access_token:get(args.token_id)
    if token == nil then
        return { type = 'unknown' }
    end
    if token.revoked_at == nil then
        box.space.initial_access_token:update(token.token_id, { { '=', 'revoked_at', args.now } })
        audit_trail.record('initial_access_token_revoked', args.now, {
            by = args.by, reason = args.reason, detail = { token_id = token.token_id },
        })
    end
    return { type = 'revoked' }
end

-- Counted before the server does what anybody could have it do: fetch what a client names.
function M.registration_attempt(args)
    local wait = limits.take({ args.limit }, args.now)
    return wait > 0 and { type = 'limited', retry_after = wait } or { type = 'permitted' }
end

-- The use of the token, or of the place among the open clients, and the client: both or neither.
function M.client_register(args)
    if box.space.client:get(args.client_id) ~= nil then
        return { type = 'created' }
    end
    if memory.is_scarce() then
        return { type = 'full' }
    end
    local detail = { open = true }
    if args.token_hash ~= nil then
        local token = usable(args.token_hash, args.now)
        if token == nil then
            return { type = 'unknown' }
        end
        box.space.initial_access_token:update(token.token_id, { { '+', 'registered', 1 } })
        detail = { token_id = token.token_id }
    else
        if box.space.open_client:len() >= args.most_open then
            return { type = 'full' }
        end
        box.space.open_client:insert({ args.client_id })
    end
    clients.insert({
        client_id = args.client_id, channel_id = '', source = 'registration', document = args.document,
    }, args.now)
    audit_trail.record('client_registered', args.now, { client_id = args.client_id, detail = detail })
    return { type = 'created' }
end

return M
