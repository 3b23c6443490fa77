-- What is in force: its time is not over, no revocation has ended it, nor what it hangs on.
local rows = require('rows')
local consents = require('consents')
local revocations = require('revocations')

local M = {}

-- The session, or nil when it has ended.
function M.session(sid, now)
    local session = rows.live(box.space.session:get(sid), now)
    if session == nil or revocations.ended_session(session) then
        return nil
    end
    return session
end

-- Whether the consent stands under which the grant was opened; one of the group's own clients needs none.
local function allowed(grant)
    if grant.consent_id == nil then
        return true
    end
    local consent = consents.find(grant.sub, grant.client_id)
    return consent ~= nil and consent.consent_id == grant.consent_id
end

function M.holds(grant, now)
    return rows.live(grant, now) ~= nil
        and not revocations.ended_grant(grant)
        and allowed(grant)
        and (grant.offline or M.session(grant.sid, now) ~= nil)
end

-- The grant as the token endpoint needs it, or nil when it or its session has ended.
function M.grant(grant_id, now)
    local grant = box.space.grant:get(grant_id)
    return grant ~= nil and M.holds(grant, now) and grant or nil
end

return M
