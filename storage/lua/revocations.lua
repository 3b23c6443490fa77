-- Revocations: one row ends all that began before it, of a customer, of a client or of everybody.
--
-- Grants and sessions note the epoch in which they began, which is the number of the last revocation until then. So
-- one write ends any number of them, completely and at once, and what began in the same second is told apart.
local rows = require('rows')

local M = {}

function M.epoch()
    local last = box.space.revocation.index.primary:max()
    return last ~= nil and last.epoch or 0
end

local function of(target, target_id)
    return box.space.revocation.index.target:select({ target, target_id })
end

-- Whether there is a revocation of this target; with `revocation_id`, that very one.
function M.any(target, target_id, revocation_id)
    for _, revocation in ipairs(of(target, target_id)) do
        if revocation_id == nil or revocation.revocation_id == revocation_id then
            return true
        end
    end
    return false
end

local function any_covers(row, target, target_id)
    for _, revocation in ipairs(of(target, target_id)) do
        if
            row.epoch < revocation.epoch
            and row.created_at >= revocation.since
            and (revocation.before == nil or row.created_at < revocation.before)
        then
            return true
        end
    end
    return false
end

function M.ended_session(session)
    return any_covers(session, 'everybody', '') or any_covers(session, 'customer', session.sub)
end

function M.ended_grant(grant)
    return any_covers(grant, 'everybody', '')
        or any_covers(grant, 'customer', grant.sub)
        or any_covers(grant, 'client', grant.client_id)
end

-- A service's own token: no row, but it carries its epoch and its time.
function M.ended_service_token(token)
    return any_covers(token, 'everybody', '') or any_covers(token, 'client', token.client_id)
end

local function within(inner, outer)
    return inner.since >= outer.since
        and (outer.before == nil or inner.before ~= nil and inner.before <= outer.before)
end

-- Ends what began so far; with `since` and `before`, only what began from the one and until the other. Returns whether
-- that is new: the same revocation again ends nothing more.
function M.add(revocation)
    local known = of(revocation.target, revocation.target_id)
    for _, row in ipairs(known) do
        if row.revocation_id == revocation.revocation_id then
            return false
        end
    end
    revocation.epoch = M.epoch() + 1
    for _, row in ipairs(known) do
        if within(row, revocation) then
            box.space.revocation:delete(row.epoch)
        end
    end
    rows.insert(box.space.revocation, revocation)
    return true
end

return M
