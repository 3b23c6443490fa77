local alive = require('alive')
local audit_trail = require('audit_trail')
local e164 = require('e164')
local grants = require('grants')
local revocations = require('revocations')
local sessions = require('sessions')
local words = require('words')

local M = {}

function M.session_read(args)
    local session = alive.session(args.sid, args.now)
    if session == nil then
        return { type = 'unknown' }
    end
    return {
        type = 'session', sid = session.sid, sub = session.sub,
        auth_time = session.auth_time, acr = words.unpack(session.acr),
    }
end

function M.session_end(args)
    local session = box.space.session:get(args.sid)
    if session == nil then
        return { type = 'unknown' }
    end
    sessions.finish(session)
    audit_trail.record('signed_out', args.now, {
        sub = session.sub, client_id = args.client_id, detail = { sid = session.sid },
    })
    return { type = 'ended' }
end

-- One client signs out without the browser: its own grants end, and the session too if no other client hangs on it.
function M.session_leave(args)
    local session = box.space.session:get(args.sid)
    if session == nil then
        return { type = 'unknown' }
    end
    local others = false
    for _, grant in box.space.grant.index.sub:pairs({ session.sub, args.sid }) do
        if grant.client_id ~= args.client_id then
            others = true
        elseif not grant.offline then
            grants.kill(grant.grant_id)
        end
    end
    if not others then
        sessions.finish(session)
    end
    audit_trail.record('signed_out', args.now, {
        sub = session.sub, client_id = args.client_id, detail = { sid = args.sid, whole = not others },
    })
    return { type = 'ended' }
end

-- Ends all sessions and grants that the target has had until now, `offline_access` included; by client its grants.
function M.sessions_revoke(args)
    local fields = { by = args.by, reason = args.reason, detail = { since = args.since, before = args.before } }
    if args.target == 'customer' then
        fields.sub = args.target_id
    elseif args.target == 'client' then
        fields.client_id = args.target_id
    end
    if args.target ~= 'everybody' and box.space[args.target]:get(args.target_id) == nil then
        return { type = 'unknown' }
    end
    local new = revocations.add({
        target = args.target, target_id = args.target_id, revocation_id = args.revocation_id,
        since = args.since, before = args.before,
    })
    if new then
        audit_trail.record('sessions_revoked', args.now, fields)
    end
    return { type = 'revoked' }
end

local function next_row(space, sub, sid)
    return space.index.sub:select({ sub, sid }, { iterator = 'GT', limit = 1 })[1]
end

-- Where sessions stand beside the grants that outlive theirs, in the order of `sub` and `sid`.
local function next_place(sub, sid)
    local session, grant = next_row(box.space.session, sub, sid), next_row(box.space.grant, sub, sid)
    if session == nil or grant == nil then
        return session or grant
    end
    local first = session.sub < grant.sub or session.sub == grant.sub and session.sid < grant.sid
    return first and session or grant
end

local function selects(args, row)
    return row.created_at >= args.since and (args.before == nil or row.created_at < args.before)
end

-- What lives of one session; nil where the selection is about nothing of it.
local function describe(place, args)
    local session = alive.session(place.sid, args.now)
    local selected = session ~= nil and args.client_id == nil and selects(args, session)
    local found, began = {}, session ~= nil and session.created_at or nil
    for _, grant in box.space.grant.index.sub:pairs({ place.sub, place.sid }) do
        if alive.holds(grant, args.now) then
            table.insert(found, { client_id = grant.client_id, offline = grant.offline, expires_at = grant.expires_at })
            began = math.min(began or grant.created_at, grant.created_at)
            local of_client = args.client_id == nil or args.client_id == grant.client_id
            selected = selected or of_client and selects(args, grant)
        end
    end
    if not selected then
        return nil
    end
    local customer = box.space.customer:get(place.sub)
    return {
        sid = place.sid, sub = place.sub, phone = e164.unpack(customer.phone), created_at = began,
        seen_at = session ~= nil and session.seen_at or nil, expires_at = session ~= nil and session.expires_at or nil,
        grants = found,
    }
end

-- Looks at no more than `limit` sessions after a place, whatever it finds there, and says where to go on.
function M.sessions_list(args)
    local list = {}
    local sub, sid = args.sub or '', ''
    if args.after ~= nil then
        sub, sid = args.after.sub, args.after.sid
    end
    for _ = 1, args.limit do
        local place = next_place(sub, sid)
        if place == nil or args.sub ~= nil and place.sub ~= args.sub then
            return { sessions = list }
        end
        sub, sid = place.sub, place.sid
        table.insert(list, describe(place, args))
    end
    return { sessions = list, after = { sub = sub, sid = sid } }
end

return M
