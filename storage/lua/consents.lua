-- Consents: what a customer allows a partner's client. A grant hangs on its consent and ends with it.
local audit_trail = require('audit_trail')
local rows = require('rows')

local M = {}

local function set_of(text)
    local set = {}
    for name in text:gmatch('%S+') do
        set[name] = true
    end
    return set
end

-- The names of `text` that are in the set, or those that are not.
local function chosen(text, set, held)
    local names = {}
    for name in text:gmatch('%S+') do
        if (set[name] ~= nil) == held then
            table.insert(names, name)
        end
    end
    return table.concat(names, ' ')
end

function M.find(sub, client_id)
    return box.space.consent:get({ sub, client_id })
end

-- Of the claims that were asked for by name, those whose scope is allowed, or whose claim needs none.
local function narrowed_claims(request, allowed)
    local kept = nil
    for place, asked in pairs(rows.plain(request.claims) or {}) do
        for claim, entry in pairs(asked) do
            local scope = request.consent.claims[claim]
            if scope == nil or allowed[scope] then
                kept = kept or {}
                kept[place] = kept[place] or {}
                kept[place][claim] = entry
            end
        end
    end
    return kept
end

-- What the consent allows of a request.
local function narrowed(request, consent)
    local allowed = set_of(consent.scope)
    local wanted = table.copy(request)
    wanted.scope = chosen(request.scope, allowed, true)
    wanted.claims = narrowed_claims(request, allowed)
    wanted.offline = request.offline and allowed.offline_access ~= nil
    -- OpenID Connect Core 11: the client's policy takes the place of the customer's word for the group's own alone.
    wanted.refresh = request.refresh and wanted.offline
    wanted.consent_id = consent.consent_id
    return wanted
end

-- What may be granted of a request without asking; nil where the customer has to be asked. They have to be when
-- something is wanted that they have neither allowed nor declined, and whenever the client wishes it.
function M.granted(sub, request)
    if request.consent == nil then
        return request
    end
    local consent = M.find(sub, request.client_id)
    if consent == nil or request.consent.always then
        return nil
    end
    local answered = set_of(consent.scope .. ' ' .. consent.declined)
    if chosen(request.consent.scope, answered, false) ~= '' then
        return nil
    end
    return narrowed(request, consent)
end

-- The customer's answer to a request: of what it asks for, `allowed` names what they allow. Returns what is granted.
-- What was not asked for stays as it was answered before.
function M.decide(sub, request, allowed, args)
    local asked, answer = set_of(request.consent.scope), set_of(allowed)
    local scope = chosen(request.consent.scope, answer, true)
    local declined = chosen(request.consent.scope, answer, false)
    local consent_id, granted_at = args.grant_id, args.now
    local known = M.find(sub, request.client_id)
    if known ~= nil then
        granted_at = known.granted_at
        -- No grant may hold more than its consent: where something is taken back, the earlier ones have ended.
        if chosen(known.scope, set_of(declined), true) == '' then
            consent_id = known.consent_id
        end
        scope = (scope .. ' ' .. chosen(known.scope, asked, false)):strip()
        declined = (declined .. ' ' .. chosen(known.declined, asked, false)):strip()
    end
    local consent = rows.replace(box.space.consent, {
        sub = sub, client_id = request.client_id, consent_id = consent_id,
        scope = scope, declined = declined, granted_at = granted_at, updated_at = args.now,
    })
    audit_trail.record('consent_granted', args.now, {
        sub = sub, client_id = request.client_id, detail = { scope = scope, declined = declined },
    })
    return narrowed(request, consent)
end

function M.withdraw(consent, now)
    box.space.consent:delete({ consent.sub, consent.client_id })
    audit_trail.record('consent_withdrawn', now, {
        sub = consent.sub, client_id = consent.client_id, detail = { scope = consent.scope },
    })
end

return M
