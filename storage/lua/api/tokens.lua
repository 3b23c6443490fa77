-- Access and refresh tokens after they were issued: in use, and taken back.
local rows = require('rows')
local alive = require('alive')
local customers = require('customers')
local grants = require('grants')
local audit_trail = require('audit_trail')

local M = {}

function M.access_token_read(args)
    local grant = alive.grant(args.grant_id, args.now)
    if grant == nil or box.space.revoked_token:get(args.jti) ~= nil then
        return { type = 'inactive' }
    end
    local customer = box.space.customer:get(grant.sub)
    if customer == nil then
        return { type = 'inactive' }
    end
    local claims = grant.claims ~= nil and grant.claims.userinfo or nil
    return { type = 'active', claims = claims, customer = customers.describe(customer) }
end

-- RFC 7009 2.1: a token of another client is not revoked, and its client is told.
function M.access_token_revoke(args)
    local grant = box.space.grant:get(args.grant_id)
    if grant == nil then
        return { type = 'unknown' }
    end
    if grant.client_id ~= args.client_id then
        return { type = 'mismatch', parameter = 'client_id' }
    end
    if box.space.revoked_token:get(args.jti) == nil then
        box.space.revoked_token:insert({ args.jti, args.expires_at })
        audit_trail.record('access_token_revoked', args.now, {
            sub = grant.sub, client_id = grant.client_id, detail = { jti = args.jti },
        })
    end
    return { type = 'revoked' }
end

-- Any token of the family will do: whoever holds one wants the grant to end.
function M.refresh_token_revoke(args)
    local grant = box.space.grant:get(args.grant_id)
    if grant == nil then
        return { type = 'unknown' }
    end
    if grant.client_id ~= args.client_id then
        return { type = 'mismatch', parameter = 'client_id' }
    end
    grants.kill(args.grant_id)
    audit_trail.record('grant_revoked', args.now, {
        sub = rows.plain(grant.sub), client_id = grant.client_id, detail = { grant_id = args.grant_id },
    })
    return { type = 'revoked' }
end

-- An operator takes an access token back, whosever it is. Its grant's end is surely not before its own.
function M.access_token_withdraw(args)
    local grant = box.space.grant:get(args.grant_id)
    if grant == nil then
        return { type = 'unknown' }
    end
    if box.space.revoked_token:get(args.jti) == nil then
        box.space.revoked_token:insert({ args.jti, grant.expires_at })
        audit_trail.record('access_token_revoked', args.now, {
            sub = grant.sub, client_id = grant.client_id, by = args.by, reason = args.reason,
            detail = { jti = args.jti },
        })
    end
    return { type = 'revoked' }
end

-- An operator ends a grant, whosever it is.
function M.grant_withdraw(args)
    local grant = box.space.grant:get(args.grant_id)
    if grant == nil then
        return { type = 'unknown' }
    end
    grants.kill(args.grant_id)
    audit_trail.record('grant_revoked', args.now, {
        sub = grant.sub, client_id = grant.client_id, by = args.by, reason = args.reason,
        detail = { grant_id = args.grant_id },
    })
    return { type = 'revoked' }
end

return M
