local rows = require('rows')
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

return M
