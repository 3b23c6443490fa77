-- Sessions: the hinge of single sign-on.
local rows = require('rows')
local alive = require('alive')
local grants = require('grants')
local revocations = require('revocations')
local words = require('words')

local M = {}

local TOUCH_EVERY = 60 -- seconds; a write per request would buy nothing

local function idle_end(session, lifetimes, now)
    return math.min(now + lifetimes.session_idle, session.created_at + lifetimes.session_absolute)
end

function M.touch(session, lifetimes, now)
    if now - session.seen_at < TOUCH_EVERY then
        return
    end
    box.space.session:update(session.sid, {
        { '=', 'seen_at', now }, { '=', 'expires_at', idle_end(session, lifetimes, now) },
    })
end

-- Ends a session and every grant that does not outlive it (`offline_access` does). Returns how many rows went.
function M.finish(session)
    local ended = 1
    for _, grant in box.space.grant.index.sub:pairs({ session.sub, session.sid }) do
        if not grant.offline then
            grants.kill(grant.grant_id)
            ended = ended + 2
        end
    end
    box.space.session:delete(session.sid)
    return ended
end

-- The customer has just proven who they are: their session goes on, anybody else's ends.
function M.establish(sub, args)
    local now = args.now
    local current = args.current_sid and alive.session(args.current_sid, now)
    if current and current.sub == sub then
        return box.space.session:update(current.sid, {
            { '=', 'auth_time', now }, { '=', 'acr', words.pack(args.acr) }, { '=', 'amr', words.pack(args.amr) },
            { '=', 'seen_at', now }, { '=', 'expires_at', idle_end(current, args.lifetimes, now) },
        })
    end
    if current then
        M.finish(current)
    end
    return rows.insert(box.space.session, {
        sid = args.new_sid,
        sub = sub,
        auth_time = now,
        acr = words.pack(args.acr),
        amr = words.pack(args.amr),
        created_at = now,
        seen_at = now,
        expires_at = now + math.min(args.lifetimes.session_idle, args.lifetimes.session_absolute),
        epoch = revocations.epoch(),
    })
end

return M
