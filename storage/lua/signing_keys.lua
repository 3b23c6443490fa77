-- The life of a key: next -> active -> retiring -> retired, and revoked from any of them.
--
-- An algorithm in use has one active key and always one next, so the steps that end either take its successor along.
local rows = require('rows')
local audit_trail = require('audit_trail')

local M = {}

local FIELDS = {
    'kid', 'alg', 'use', 'state', 'public_jwk', 'hsm', 'ordered', 'created_at', 'token_lifetime', 'activates_at',
    'activated_at', 'retires_at', 'ended_at', 'sealed_public', 'sealed_private',
}

function M.list()
    local list = {}
    for _, key in box.space.signing_key:pairs() do
        local described = {}
        for _, name in ipairs(FIELDS) do
            described[name] = rows.plain(key[name])
        end
        table.insert(list, described)
    end
    return list
end

function M.get(kid)
    return box.space.signing_key:get(kid)
end

-- The one key of an algorithm that is `next`, or that is `active`.
function M.of(alg, state)
    return box.space.signing_key.index.alg:min({ alg, state })
end

-- Every worker reads the keys again when this number changes.
function M.bump()
    box.space.revision:upsert({ 'keys', 1 }, { { '+', 2, 1 } })
end

function M.record(event, kid, args, detail)
    detail = detail or {}
    detail.kid = kid
    audit_trail.record(event, args.now, { by = args.by, reason = args.reason, detail = detail })
    M.bump()
end

-- When `key`, which is next, may sign at the earliest: published long enough, and known everywhere before it begins.
function M.earliest(key, args)
    return math.max(key.created_at + args.publish_ahead, args.now + 2 * args.propagation)
end

function M.add(key, state, args)
    key.state = state
    if state == 'next' and key.activates_at ~= nil then
        key.activates_at = math.max(key.activates_at, M.earliest(key, args))
    end
    rows.insert(box.space.signing_key, key)
    M.record('signing_key_added', key.kid, args, { alg = key.alg, state = state, hsm = key.hsm })
end

function M.set(kid, fields)
    local changes = {}
    for name, value in pairs(fields) do
        table.insert(changes, { '=', name, value })
    end
    return box.space.signing_key:update(kid, changes)
end

-- A process that has not heard of it yet signs with the key for a moment longer, hence twice the propagation.
-- What was encrypted to a key must still be opened, so only a signing key loses its private part here.
function M.leave(key, args)
    M.set(key.kid, {
        state = 'retiring', retires_at = args.now + key.token_lifetime + 2 * args.propagation,
        sealed_private = key.use == 'enc' and key.sealed_private or box.NULL,
    })
    M.record('signing_key_retiring', key.kid, args, { alg = key.alg })
end

function M.activate(key, args)
    M.set(key.kid, { state = 'active', activated_at = args.now })
    M.record('signing_key_activated', key.kid, args, { alg = key.alg })
end

-- The public part goes on proving what the key once signed: an `id_token_hint` may be old.
function M.retire(key, args)
    M.set(key.kid, { state = 'retired', ended_at = args.now, sealed_private = box.NULL })
    M.record('signing_key_retired', key.kid, args, { alg = key.alg })
end

-- Without its sealed parts the key cannot be brought back by whoever can write rows.
function M.revoke(key, args)
    M.set(key.kid, { state = 'revoked', ended_at = args.now, sealed_private = box.NULL, sealed_public = box.NULL })
    M.record('signing_key_revoked', key.kid, args, { alg = key.alg, was = key.state })
end

return M
