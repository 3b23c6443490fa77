-- Refresh tokens: rotation, the grace for a lost answer, and the end of a family at reuse.
local alive = require('alive')
local families = require('families')
local grants = require('grants')
local sessions = require('sessions')
local audit_trail = require('audit_trail')
local replication = require('replication')
local words = require('words')

local M = {}

local function holds(scope, requested)
    local held = {}
    for name in scope:gmatch('%S+') do
        held[name] = true
    end
    for name in requested:gmatch('%S+') do
        if not held[name] then
            return false
        end
    end
    return true
end

local function rotated(grant)
    local answer = grants.describe(grant)
    answer.type = 'rotated'
    return answer
end

-- RFC 9700 4.14.2: a replayed refresh token ends the grant. The current one is the only one that rotates; the previous
-- is honoured until its successor is first used, and at most for `refresh_grace` seconds since anybody may know it.
function M.refresh_rotate(args)
    local family = box.space.refresh:get(args.grant_id)
    if family == nil then
        return { type = 'unknown' }
    end
    local grant = alive.grant(args.grant_id, args.now)
    if grant == nil then
        return { type = 'unknown' }
    end
    -- Before anything else: a wrong client must not be able to end somebody's grant.
    if grant.client_id ~= args.client_id then
        return { type = 'mismatch', parameter = 'client_id' }
    end
    if args.now >= family.expires_at then
        return { type = 'expired' }
    end
    if args.scope ~= nil and not holds(words.unpack(grant.scope), args.scope) then
        return { type = 'mismatch', parameter = 'scope' }
    end
    if families.is_current(family, args.presented_hash) then
        families.rotate(args.grant_id, args, math.min(args.now + args.lifetimes.refresh_idle, grant.expires_at))
        if not grant.offline then
            sessions.touch(box.space.session:get(grant.sid), args.lifetimes, args.now)
        end
        return rotated(grant)
    end
    if families.is_previous(family, args.presented_hash) then
        if families.rotated_by(family, args.attempt) then
            return rotated(grant)
        end
        if args.now - replication.told_from(family.rotated_at, args.now) < args.lifetimes.refresh_grace then
            -- A lost answer looks like this, and so does a thief who keeps in step.
            audit_trail.record('refresh_token_repeated', args.now, {
                sub = grant.sub, client_id = grant.client_id, detail = { grant_id = args.grant_id },
            })
            return rotated(grant)
        end
    end
    grants.kill(args.grant_id)
    audit_trail.record('refresh_token_reused', args.now, {
        sub = grant.sub, client_id = grant.client_id, detail = { grant_id = args.grant_id },
    })
    return { type = 'replayed' }
end

return M
