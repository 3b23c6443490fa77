-- Signing in by phone and one-time code: on the pages (a journey is an interaction) and by the phone grant.
local alive = require('alive')
local audit_trail = require('audit_trail')
local challenges = require('challenges')
local customers = require('customers')
local e164 = require('e164')
local families = require('families')
local grants = require('grants')
local interactions = require('interactions')
local sessions = require('sessions')

local M = {}

function M.interaction_otp_start(args)
    local interaction, refusal = interactions.find(args)
    if interaction == nil then
        return refusal
    end
    if interaction.step == 'done' then
        return { type = 'completed', request = interaction.request }
    end
    if interaction.step == 'consent' then
        return interactions.repeated(interaction, args)
    end
    if interaction.step == 'cancelled' then
        return { type = 'unknown' }
    end
    args.client_id = interaction.request.client_id
    args.locale = interaction.request.locale
    args.phone = e164.pack(args.phone)
    local answer = challenges.start(args.interaction_id, args)
    if answer.type == 'started' then
        box.space.interaction:update(args.interaction_id, {
            { '=', 'step', 'code' }, { '=', 'phone', args.phone }, { '=', 'test', args.test },
        })
        answer.request = interaction.request
    end
    return answer
end

function M.interaction_otp_verify(args)
    local interaction, refusal = interactions.find(args)
    if interaction == nil then
        return refusal
    end
    args.client_id = interaction.request.client_id
    -- The right code again from the same browser is a repeat of the same step, not another use.
    args.spender = args.interaction_id
    if interaction.step == 'consent' then
        return interactions.repeated(interaction, args)
    end
    local challenge
    challenge, refusal = challenges.check(args.interaction_id, args)
    if interaction.step == 'done' then
        if challenge ~= nil then
            return interactions.repeated(interaction, args)
        end
        return { type = 'completed', request = interaction.request }
    end
    if challenge == nil then
        -- The page outlives its code, and the sweep takes old codes away.
        local swept = refusal.type == 'unknown' and interaction.step ~= 'cancelled'
        return swept and { type = 'code_expired' } or refusal
    end
    local customer = customers.by_phone(challenge.phone)
    if customer ~= nil and customer.terms_accepted_at > 0 then
        return interactions.sign_in(interaction, customer, args.now, args)
    end
    refusal = interactions.refusal(interaction, customer, args)
    if refusal ~= nil then
        return refusal
    end
    if interaction.step ~= 'profile' then
        box.space.interaction:update(args.interaction_id, {
            { '=', 'step', 'profile' }, { '=', 'phone_verified_at', args.now },
        })
    end
    return { type = 'unregistered', phone = e164.unpack(challenge.phone) }
end

-- A session is of one client; with `resend` it must be a running one, of this phone.
function M.otp_start(args)
    args.bound_client_id = args.client_id
    args.phone = e164.pack(args.phone)
    local known = box.space.challenge:get(args.otp_session)
    if known ~= nil and known.client_id ~= args.client_id
            or args.resend and (known == nil or known.phone ~= args.phone) then
        return { type = 'unknown' }
    end
    return challenges.start(args.otp_session, args)
end

-- The phone grant: the code is checked, the customer found or made, and the tokens' rows written at once.
function M.otp_redeem(args)
    args.bound_client_id = args.client_id
    local known = box.space.challenge:get(args.otp_session)
    local repeated = known ~= nil and known.spent_by == args.attempt
    local challenge, refusal = challenges.check(args.otp_session, args)
    if challenge == nil then
        return refusal
    end
    local customer = customers.by_phone(challenge.phone)
    if customer ~= nil and customers.is_blocked(customer) then
        if not repeated then
            customers.note_refusal(customer, args.client_id, args.now)
        end
        return { type = 'customer_blocked' }
    end
    if not repeated then
        if customer == nil then
            customer = customers.create({
                sub = args.new_sub, phone = challenge.phone, phone_verified_at = args.now,
                terms_accepted_at = 0, test = challenge.test, client_id = args.client_id,
            }, args.now)
        end
        customers.note_sign_in(customer, args.now, args.now)
        local session = sessions.establish(customer.sub, args)
        local lifetime = args.wanted.refresh and args.lifetimes.refresh_absolute or args.lifetimes.access_token
        grants.open(args.grant_id, session, args.wanted, args.now + lifetime, args.now)
        if args.wanted.refresh then
            families.begin(args.grant_id, args.refresh_hash, args)
        end
        audit_trail.record('signed_in', args.now, {
            sub = customer.sub, client_id = args.client_id,
            detail = { sid = session.sid, amr = args.amr, test = customer.test },
        })
    end
    local grant = alive.grant(args.grant_id, args.now)
    if grant == nil then
        return { type = 'spent' }
    end
    local answer = grants.describe(grant)
    answer.type = 'redeemed'
    answer.refresh = grant.refresh
    return answer
end

return M
