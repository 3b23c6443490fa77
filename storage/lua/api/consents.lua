-- Consents: decided at the end of a login, seen and withdrawn by the customer of a session.
local alive = require('alive')
local consents = require('consents')
local interactions = require('interactions')
local sessions = require('sessions')

local M = {}

local MOST = 1000 -- consents that are looked at in one transaction

-- The customer allows what `allowed` names: consent, grant and code, in one transaction.
function M.consent_decide(args)
    local interaction, refusal = interactions.find(args)
    if interaction == nil then
        return refusal
    end
    if interaction.step == 'done' then
        return interactions.repeated(interaction, args)
    end
    if interaction.step == 'cancelled' then
        return { type = 'cancelled', request = interaction.request }
    end
    if interaction.step ~= 'consent' then
        return { type = 'unknown' }
    end
    local session = interactions.waiting_session(interaction, args.now)
    if session == nil then
        return { type = 'completed', request = interaction.request }
    end
    sessions.touch(session, args.lifetimes, args.now)
    local wanted = consents.decide(session.sub, interaction.request, args.allowed, args)
    return interactions.finish(interaction, session, wanted, args)
end

function M.consents_list(args)
    local session = alive.session(args.sid, args.now)
    if session == nil then
        return { type = 'unknown' }
    end
    local list = {}
    for _, row in ipairs(box.space.consent:select({ session.sub }, { limit = MOST })) do
        table.insert(list, {
            client_id = row.client_id, consent_id = row.consent_id, scope = row.scope,
            granted_at = row.granted_at, updated_at = row.updated_at,
        })
    end
    return { type = 'consents', consents = list }
end

-- Ends all grants under one consent. One that was given anew meanwhile is another consent.
function M.consent_withdraw(args)
    local session = alive.session(args.sid, args.now)
    if session == nil then
        return { type = 'unknown' }
    end
    local consent = consents.find(session.sub, args.client_id)
    if consent ~= nil and consent.consent_id == args.consent_id then
        consents.withdraw(consent, args.now)
    end
    return { type = 'withdrawn' }
end

return M
