-- Signing keys and our own encryption keys. Steps that end a next key bring its `successor`; each may be repeated.
local audit_trail = require('audit_trail')
local signing_keys = require('signing_keys')

local M = {}

function M.signing_keys()
    return signing_keys.list()
end

-- The first keys of an algorithm: who comes later finds them there.
function M.signing_keys_begin(args)
    local alg = args.next.alg
    if signing_keys.of(alg, 'active') == nil then
        -- Nobody can hold a token of this algorithm, or expect a key that is published already.
        args.active.activated_at = args.now
        signing_keys.add(args.active, 'active', args)
    end
    if signing_keys.of(alg, 'next') == nil then
        signing_keys.add(args.next, 'next', args)
    end
    return signing_keys.list()
end

-- Another next key in place of the one that waits. It is published from now on, so it waits anew.
function M.signing_key_replace(args)
    local known = signing_keys.get(args.successor.kid)
    if known ~= nil and known.alg == args.successor.alg and known.state == 'next' then
        return { type = 'changed' }
    end
    if known ~= nil then
        -- An imported key: what has left never comes back, and no key is for two algorithms.
        return { type = 'wrong_state', state = known.state }
    end
    local waiting = signing_keys.of(args.successor.alg, 'next')
    if waiting == nil then
        return { type = 'unknown' }
    end
    signing_keys.retire(waiting, args)
    signing_keys.add(args.successor, 'next', args)
    return { type = 'changed' }
end

-- What is unsafe is done only for a reason.
local function forced(args)
    return args.force and args.reason ~= nil
end

-- When the next key begins to sign.
function M.signing_key_schedule(args)
    local key = signing_keys.get(args.kid)
    if key == nil then
        return { type = 'unknown' }
    end
    if key.state ~= 'next' then
        return { type = 'wrong_state', state = key.state }
    end
    local earliest = signing_keys.earliest(key, args)
    if args.activates_at ~= nil and args.activates_at < earliest and not forced(args) then
        return { type = 'too_soon', earliest = earliest }
    end
    if key.activates_at ~= args.activates_at or key.ordered ~= args.ordered then
        signing_keys.set(args.kid, {
            activates_at = args.activates_at == nil and box.NULL or args.activates_at, ordered = args.ordered,
        })
        signing_keys.record('signing_key_scheduled', args.kid, args, {
            alg = key.alg, activates_at = args.activates_at, forced = args.force,
        })
    end
    return { type = 'changed' }
end

-- The next key is due: it begins to sign, the active one leaves, and the successor is the next from now on.
function M.signing_key_turn(args)
    local due = signing_keys.get(args.kid)
    if due == nil then
        return { type = 'unknown' }
    end
    if due.state ~= 'next' then
        -- Another node was first.
        return { type = 'wrong_state', state = due.state }
    end
    if due.activates_at == nil or args.now < due.activates_at then
        return { type = 'too_soon', earliest = due.activates_at or signing_keys.earliest(due, args) }
    end
    local active = signing_keys.of(due.alg, 'active')
    if active ~= nil then
        signing_keys.leave(active, args)
    end
    signing_keys.activate(due, args)
    signing_keys.add(args.successor, 'next', args)
    return { type = 'changed' }
end

-- A retiring key before its time (`force`), a next key for its successor, or an active key and its next where the
-- algorithm is no longer in use (`withdrawn`).
function M.signing_key_retire(args)
    local key = signing_keys.get(args.kid)
    if key == nil then
        return { type = 'unknown' }
    end
    if key.state == 'retiring' then
        if args.now < key.retires_at and not forced(args) then
            return { type = 'too_soon', earliest = key.retires_at }
        end
        signing_keys.retire(key, args)
    elseif key.state == 'next' and args.successor ~= nil then
        signing_keys.retire(key, args)
        signing_keys.add(args.successor, 'next', args)
    elseif key.state == 'active' and args.withdrawn then
        local waiting = signing_keys.of(key.alg, 'next')
        if waiting ~= nil then
            signing_keys.retire(waiting, args)
        end
        signing_keys.leave(key, args)
    elseif key.state ~= 'retired' then
        return { type = 'wrong_state', state = key.state }
    end
    return { type = 'changed' }
end

-- From any state. The next key, which every relying party may know by now, takes an active one's place at once.
function M.signing_key_revoke(args)
    local key = signing_keys.get(args.kid)
    if key == nil then
        return { type = 'unknown' }
    end
    if key.state == 'revoked' then
        return { type = 'changed' }
    end
    signing_keys.revoke(key, args)
    if key.state == 'active' then
        local waiting = signing_keys.of(key.alg, 'next')
        if waiting ~= nil then
            signing_keys.activate(waiting, args)
        end
    end
    if (key.state == 'active' or key.state == 'next') and args.successor ~= nil then
        signing_keys.add(args.successor, 'next', args)
    end
    return { type = 'changed' }
end

-- What time alone brings: retiring keys are retired, and an active key remembers its longest-lived tokens.
function M.signing_keys_tend(args)
    local changed = 0
    for _, key in box.space.signing_key:pairs() do
        if key.state == 'retiring' and args.now >= key.retires_at then
            signing_keys.retire(key, args)
            changed = changed + 1
        elseif (key.state == 'active' or key.state == 'next') and key.token_lifetime < args.token_lifetime then
            signing_keys.set(key.kid, { token_lifetime = args.token_lifetime })
            signing_keys.bump()
            changed = changed + 1
        end
    end
    return changed
end

-- The key-encryption key is lost, and with it all that it sealed: every key is revoked, every secret removed.
function M.keys_abandon(args)
    local abandoned = 0
    for _, key in box.space.signing_key:pairs() do
        if key.state ~= 'revoked' then
            signing_keys.revoke(key, args)
            abandoned = abandoned + 1
        end
    end
    for _, secret in box.space.server_secret:pairs() do
        box.space.server_secret:delete({ secret.name, secret.version })
        abandoned = abandoned + 1
    end
    if abandoned > 0 then
        signing_keys.bump()
        audit_trail.record('keys_abandoned', args.now, { by = args.by, reason = args.reason })
    end
    return abandoned
end

-- The hardware security module has destroyed what it held of a key that has left.
function M.signing_key_forgotten(args)
    local key = signing_keys.get(args.kid)
    if key ~= nil and key.hsm and key.state ~= 'next' and key.state ~= 'active' then
        signing_keys.set(args.kid, { hsm = false })
        -- A module that was exchanged for another one may come back, with the key still in it.
        signing_keys.record(args.found and 'signing_key_destroyed' or 'signing_key_missing', args.kid, args)
    end
    return { type = 'changed' }
end

return M
