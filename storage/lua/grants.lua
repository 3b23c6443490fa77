-- Grants: one authorization on one device. Codes, refresh tokens and access tokens live and die with theirs.
local rows = require('rows')
local revocations = require('revocations')
local words = require('words')

local M = {}

function M.kill(grant_id)
    box.space.grant:delete(grant_id)
    box.space.refresh:delete(grant_id)
end

local MOST = 100 -- redeemed grants of one client under one session: all of them end in one transaction

-- A browser that goes through authorization again and again loses its oldest grant of that client. Looks at no more
-- rows than that, and leaves codes alone that wait to be redeemed: they do not wait for long.
function M.end_oldest(newest, lifetimes, now)
    local oldest = box.space.grant.index.sub:select({ newest.sub, newest.sid, newest.client_id }, {
        limit = MOST + 1,
    })
    if #oldest <= MOST then
        return
    end
    for _, grant in ipairs(oldest) do
        if grant.expires_at <= now + lifetimes.code then
            return
        end
    end
    M.kill(oldest[1].grant_id)
end

-- Opens a grant for `session`; `wanted` says for what (client_id, scope, offline, refresh, claims, consent_id).
function M.open(grant_id, session, wanted, expires_at, now)
    return rows.insert(box.space.grant, {
        grant_id = grant_id,
        sub = session.sub,
        client_id = wanted.client_id,
        sid = session.sid,
        scope = words.pack(wanted.scope),
        auth_time = session.auth_time,
        acr = session.acr,
        amr = session.amr,
        offline = wanted.offline,
        refresh = wanted.refresh,
        created_at = now,
        expires_at = expires_at,
        epoch = revocations.epoch(),
        claims = wanted.claims,
        consent_id = wanted.consent_id,
    })
end

-- Opens a grant and the authorization code that points at it.
function M.open_with_code(args, session, request, now)
    local expires_at = now + args.lifetimes.code
    M.open(args.grant_id, session, request, expires_at, now)
    rows.insert(box.space.code, {
        code_hash = args.code_hash,
        grant_id = args.grant_id,
        client_id = request.client_id,
        redirect_uri = request.redirect_uri,
        expires_at = expires_at,
        code_challenge = request.code_challenge,
        nonce = request.nonce,
    })
end

function M.describe(grant)
    local customer = nil
    if grant.claims ~= nil and grant.claims.id_token ~= nil then
        customer = require('customers').describe(box.space.customer:get(grant.sub))
    end
    return {
        grant_id = grant.grant_id,
        sub = grant.sub,
        client_id = grant.client_id,
        sid = grant.sid,
        scope = words.unpack(grant.scope),
        auth_time = grant.auth_time,
        acr = words.unpack(grant.acr),
        amr = words.unpack(grant.amr),
        claims = rows.plain(grant.claims),
        customer = customer,
    }
end

return M
