local rows = require('rows')
local grants = require('grants')
local sessions = require('sessions')
local audit_trail = require('audit_trail')

local M = {}

function M.session_read(args)
    local session = rows.live(box.space.session:get(args.sid), args.now)
    if session == nil then
        return { type = 'unknown' }
    end
    return {
        type = 'session', sid = session.sid, sub = session.sub,
        auth_time = session.auth_time, acr = session.acr,
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
    for _, grant in box.space.grant.index.sid:pairs(args.sid) do
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

return M
