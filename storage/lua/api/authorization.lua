-- Authorization codes: issued to a session that exists, redeemed once.
local rows = require('rows')
local alive = require('alive')
local consents = require('consents')
local families = require('families')
local grants = require('grants')
local interactions = require('interactions')
local sessions = require('sessions')
local audit_trail = require('audit_trail')

local M = {}

local REPLAY_MEMORY = 3600 -- seconds that a spent code is remembered

function M.authorization_request_store(args)
    local refusal = interactions.room_for_more(args)
    if refusal ~= nil then
        return refusal
    end
    box.space.authorization_request:replace({ args.request_id, args.parameters, args.expires_at })
    return { type = 'stored' }
end

function M.authorization_request_read(args)
    local row = rows.live(box.space.authorization_request:get(args.request_id), args.now)
    if row == nil then
        return { type = 'unknown' }
    end
    return { type = 'authorization_request', parameters = row.parameters }
end

-- Single sign-on: a code for a session that is still the one that the caller looked at, and for no more than its
-- customer allows.
function M.code_issue(args)
    local session = alive.session(args.sid, args.now)
    if session == nil or session.sub ~= args.sub then
        return { type = 'session_ended' }
    end
    if box.space.code:get(args.code_hash) == nil then
        local wanted = consents.granted(session.sub, args.request)
        if wanted == nil then
            return { type = 'consent_missing' }
        end
        local refusal = interactions.room_for_more(args)
        if refusal ~= nil then
            return refusal
        end
        sessions.touch(session, args.lifetimes, args.now)
        grants.open_with_code(args, session, wanted, args.now)
    end
    return { type = 'issued' }
end

local function binding_error(code, args)
    if code.client_id ~= args.client_id then
        return 'client_id'
    end
    -- RFC 6749 4.1.3: it counts where the authorization request had one.
    if code.redirect_uri ~= '' and code.redirect_uri ~= args.redirect_uri then
        return 'redirect_uri'
    end
    -- A verifier without a challenge is refused as well: RFC 9700 4.8.2, PKCE downgrade.
    if rows.plain(code.code_challenge) ~= args.code_challenge then
        return 'code_verifier'
    end
    return nil
end

local function redeemed(code, grant)
    local answer = grants.describe(grant)
    answer.type = 'redeemed'
    answer.nonce = rows.plain(code.nonce)
    answer.refresh = grant.refresh
    return answer
end

-- RFC 6749 4.1.2: a code is used once, and a second use takes back what the first one gave.
function M.code_redeem(args)
    local code = box.space.code:get(args.code_hash)
    if code == nil then
        return { type = 'unknown' }
    end
    local mismatch = binding_error(code, args)
    if mismatch ~= nil then
        return { type = 'mismatch', parameter = mismatch }
    end
    local grant = alive.grant(code.grant_id, args.now)
    if code.attempt == args.attempt then
        return grant ~= nil and redeemed(code, grant) or { type = 'unknown' }
    end
    if code.attempt ~= nil then
        if box.space.grant:get(code.grant_id) ~= nil then
            grants.kill(code.grant_id)
            audit_trail.record('code_replayed', args.now, {
                client_id = args.client_id, detail = { grant_id = code.grant_id },
            })
        end
        return { type = 'replayed' }
    end
    if args.now >= code.expires_at then
        return { type = 'expired' }
    end
    if grant == nil then
        return { type = 'unknown' }
    end
    -- The spent code stays for a while: a replay must still be recognised.
    box.space.code:update(args.code_hash, {
        { '=', 'attempt', args.attempt }, { '=', 'expires_at', args.now + REPLAY_MEMORY },
    })
    local lives_until = args.now + args.lifetimes.access_token
    if grant.refresh then
        lives_until = args.now + args.lifetimes.refresh_absolute
        families.begin(grant.grant_id, args.refresh_hash, args)
    end
    grant = box.space.grant:update(grant.grant_id, { { '=', 'expires_at', lives_until } })
    grants.end_oldest(grant, args.lifetimes, args.now)
    return redeemed(code, grant)
end

return M
