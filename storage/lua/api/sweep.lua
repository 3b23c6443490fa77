-- Removes what has expired, a small batch at a time, so that no request ever waits for it.
local grants = require('grants')
local sessions = require('sessions')

local M = {}

-- Seconds that an expired interaction is kept: a customer who comes back late begins it anew.
local INTERACTION_MEMORY = 3600

local function drop(space)
    return function(row)
        space:delete(row[1])
    end
end

local function sweepers()
    local space = box.space
    return {
        { space.session, sessions.finish },
        { space.refresh, function(row) grants.kill(row.grant_id) end },
        { space.grant, function(row) grants.kill(row.grant_id) end },
        { space.code, drop(space.code) },
        { space.challenge, drop(space.challenge) },
        { space.outbox, drop(space.outbox) },
        { space.submission, function(row) space.submission:delete({ row.provider, row.provider_id }) end },
        { space.interaction, drop(space.interaction), INTERACTION_MEMORY },
        { space.authorization_request, drop(space.authorization_request) },
        { space.revoked_token, drop(space.revoked_token) },
        { space.client_assertion, function(row) space.client_assertion:delete({ row.client_id, row.jti_hash }) end },
        { space.rate_limit, drop(space.rate_limit) },
        { space.conversion, drop(space.conversion) },
        { space.sent_code, drop(space.sent_code) },
        { space.spent_proof, drop(space.spent_proof) },
        { space.message_budget, drop(space.message_budget) },
        { space.initial_access_token, drop(space.initial_access_token) },
    }
end

-- Returns how many rows went; a caller that gets `limit` or more back has more to do.
function M.sweep(args)
    local swept = 0
    for _, entry in ipairs(sweepers()) do
        local space, remove, memory = entry[1], entry[2], entry[3] or 0
        for _, row in space.index.expires_at:pairs(args.now - memory, { iterator = 'LE' }) do
            if swept >= args.limit then
                return swept
            end
            -- A session takes its grants along.
            swept = swept + (remove(row) or 1)
        end
    end
    return swept
end

return M
