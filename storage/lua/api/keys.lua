-- Signing keys and the named server secrets; private parts arrive sealed.
local rows = require('rows')
local audit_trail = require('audit_trail')

local M = {}

local function bump()
    box.space.revision:upsert({ 'keys', 1 }, { { '+', 2, 1 } })
end

function M.signing_keys()
    local list = {}
    for _, key in box.space.signing_key:pairs() do
        table.insert(list, {
            kid = key.kid, alg = key.alg, state = key.state, public_jwk = key.public_jwk,
            sealed_private = key.sealed_private, created_at = key.created_at,
        })
    end
    return list
end

-- The first active key of an algorithm wins; whoever comes later sees it in the answer.
function M.signing_key_add(args)
    for _, key in box.space.signing_key:pairs() do
        if key.alg == args.key.alg and key.state == 'active' then
            return M.signing_keys()
        end
    end
    rows.insert(box.space.signing_key, args.key)
    audit_trail.record('signing_key_added', args.now, { detail = { kid = args.key.kid, alg = args.key.alg } })
    bump()
    return M.signing_keys()
end

function M.server_secrets()
    local list = {}
    for _, secret in box.space.server_secret:pairs() do
        table.insert(list, {
            name = secret.name, version = secret.version,
            sealed = secret.sealed, created_at = secret.created_at,
        })
    end
    return list
end

function M.server_secret_add(args)
    local secret = args.secret
    if box.space.server_secret:get({ secret.name, secret.version }) == nil then
        rows.insert(box.space.server_secret, secret)
        audit_trail.record('server_secret_added', args.now, {
            detail = { name = secret.name, version = secret.version },
        })
        bump()
    end
    return M.server_secrets()
end

return M
