-- The named server secrets, and the change of the key-encryption key that seals them, the private keys and
-- secrets of clients.
local rows = require('rows')
local audit_trail = require('audit_trail')
local clients = require('clients')
local signing_keys = require('signing_keys')

local M = {}

local function newest(name)
    return box.space.server_secret.index.primary:max(name)
end

function M.server_secrets()
    local list = {}
    for _, secret in box.space.server_secret:pairs() do
        table.insert(list, {
            name = secret.name, version = secret.version, sealed = secret.sealed, created_at = secret.created_at,
            superseded_at = rows.plain(secret.superseded_at),
        })
    end
    return list
end

-- The next version of a secret, unless it is there already: versions have no gaps.
function M.server_secret_add(args)
    local secret = args.secret
    local last = newest(secret.name)
    if secret.version == (last ~= nil and last.version or 0) + 1 then
        if last ~= nil then
            box.space.server_secret:update({ last.name, last.version }, { { '=', 'superseded_at', args.now } })
        end
        rows.insert(box.space.server_secret, secret)
        audit_trail.record('server_secret_added', args.now, {
            by = args.by, reason = args.reason, detail = { name = secret.name, version = secret.version },
        })
        signing_keys.bump()
    end
    return M.server_secrets()
end

-- Removes the versions that were superseded at `superseded_before` or earlier.
function M.server_secrets_tend(args)
    local removed = 0
    for _, secret in box.space.server_secret:pairs() do
        if secret.superseded_at ~= nil and secret.superseded_at <= args.superseded_before then
            box.space.server_secret:delete({ secret.name, secret.version })
            audit_trail.record('server_secret_removed', args.now, {
                detail = { name = secret.name, version = secret.version },
            })
            signing_keys.bump()
            removed = removed + 1
        end
    end
    return removed
end

-- Each change says what it replaces: a row that has changed meanwhile is left alone, and not counted.
function M.reseal(args)
    local resealed = 0
    for _, change in ipairs(args.keys) do
        local key = box.space.signing_key:get(change.kid)
        if key ~= nil and key[change.field] == change.old then
            signing_keys.set(change.kid, { [change.field] = change.new })
            resealed = resealed + 1
        end
    end
    for _, change in ipairs(args.secrets) do
        local secret = box.space.server_secret:get({ change.name, change.version })
        if secret ~= nil and secret.sealed == change.old then
            box.space.server_secret:update({ change.name, change.version }, { { '=', 'sealed', change.new } })
            resealed = resealed + 1
        end
    end
    for _, change in ipairs(args.clients) do
        local client = box.space.client:get(change.client_id)
        if client ~= nil and client.document == change.old then
            clients.set_document(change.client_id, change.new, client.updated_at)
            resealed = resealed + 1
        end
    end
    if resealed > 0 then
        audit_trail.record('resealed', args.now, {
            by = args.by, reason = args.reason, detail = { to = args.to, count = resealed },
        })
        signing_keys.bump()
    end
    return resealed
end

return M
