-- Access and refresh tokens after they were issued: in use, and taken back.
local rows = require('rows')
local alive = require('alive')
local customers = require('customers')
local families = require('families')
local grants = require('grants')
local revocations = require('revocations')
local audit_trail = require('audit_trail')
local words = require('words')

local M = {}

local LONGEST_LIFE = 3600 -- seconds: no access token is good for longer

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

-- The epoch that a service's own token carries: no row is written for one.
function M.revocation_epoch()
    return revocations.epoch()
end

local function take_back(jti, client_id, expires_at, args)
    if box.space.revoked_token:get(jti) == nil then
        box.space.revoked_token:insert({ jti, expires_at })
        audit_trail.record('access_token_revoked', args.now, {
            client_id = client_id, by = args.by, reason = args.reason, detail = { jti = jti },
        })
    end
end

function M.service_token_read(args)
    local token = { epoch = args.epoch, created_at = args.issued_at, client_id = args.client_id }
    local ended = box.space.client:get(args.client_id) == nil
        or box.space.revoked_token:get(args.jti) ~= nil
        or revocations.ended_service_token(token)
    return { type = ended and 'inactive' or 'service_active' }
end

function M.service_token_revoke(args)
    take_back(args.jti, args.client_id, args.expires_at, args)
    return { type = 'revoked' }
end

-- A refresh token as its client may ask about it (RFC 7662): the current one of a family in force.
function M.refresh_token_read(args)
    local family = box.space.refresh:get(args.grant_id)
    local grant = alive.grant(args.grant_id, args.now)
    if
        family == nil
        or grant == nil
        or grant.client_id ~= args.client_id
        or not families.is_current(family, args.presented_hash)
        or args.now >= family.expires_at
    then
        return { type = 'inactive' }
    end
    local expires_at = math.min(family.expires_at, grant.expires_at)
    if not grant.offline then
        expires_at = math.min(expires_at, alive.session(grant.sid, args.now).expires_at)
    end
    return {
        type = 'refresh_token', sub = grant.sub, scope = words.unpack(grant.scope),
        expires_at = expires_at, created_at = grant.created_at,
    }
end

-- An operator takes an access token back, whosever it is. Its grant's end is surely not before its own.
function M.access_token_withdraw(args)
    if args.jti:find('~', 1, true) ~= nil then
        -- A service's own, of which there is no row.
        take_back(args.jti, nil, args.now + LONGEST_LIFE, args)
        return { type = 'revoked' }
    end
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
