-- Interactions: a login in progress in one browser, from the authorization request to the code.
local rows = require('rows')
local alive = require('alive')
local challenges = require('challenges')
local consents = require('consents')
local customers = require('customers')
local e164 = require('e164')
local interactions = require('interactions')

local M = {}

-- With `sid` the customer of that session is asked for consent, otherwise somebody for a phone.
function M.interaction_start(args)
    if box.space.interaction:get(args.interaction_id) == nil then
        local session = args.sid ~= nil and alive.session(args.sid, args.now) or nil
        if args.sid ~= nil and session == nil then
            return { type = 'session_ended' }
        end
        local refusal = interactions.room_for_more(args)
        if refusal ~= nil then
            return refusal
        end
        rows.insert(box.space.interaction, {
            interaction_id = args.interaction_id,
            browser_hash = args.browser_hash,
            request = args.request,
            step = session ~= nil and 'consent' or 'phone',
            expires_at = args.expires_at,
            sub = session ~= nil and session.sub or nil,
            sid = args.sid,
        })
    end
    return { type = 'interaction_started' }
end

function M.interaction_read(args)
    local interaction, refusal = interactions.find(args)
    if interaction == nil then
        return refusal
    end
    local answer = {
        type = 'interaction',
        step = interaction.step,
        request = interaction.request,
        phone = e164.unpack(interaction.phone),
    }
    if interaction.step == 'consent' then
        if interactions.waiting_session(interaction, args.now) == nil then
            return { type = 'completed', request = interaction.request }
        end
        local known = consents.find(interaction.sub, interaction.request.client_id)
        answer.phone = e164.unpack(box.space.customer:get(interaction.sub).phone)
        answer.declined = known ~= nil and known.declined or nil
    end
    local challenge = rows.live(box.space.challenge:get(args.interaction_id), args.now)
    if challenge ~= nil then
        answer.tries_left = challenges.tries_left(challenge, challenge.delivery == 'flash_call')
        answer.resend_at = challenge.resend_at
        answer.delivery = challenge.delivery
    end
    return answer
end

-- The customer turns back. Once there is a code, there is nothing left to cancel.
function M.interaction_cancel(args)
    local interaction, refusal = interactions.find(args)
    if interaction == nil then
        return refusal
    end
    if interaction.step == 'done' then
        return { type = 'completed', request = interaction.request }
    end
    box.space.interaction:update(args.interaction_id, { { '=', 'step', 'cancelled' } })
    box.space.challenge:delete(args.interaction_id)
    return { type = 'cancelled', request = interaction.request }
end

-- First sign-in: makes the profile, exactly once however many requests race, and signs in. A profile that the
-- phone grant made has no name and no accepted terms yet.
function M.customer_register(args)
    local interaction, refusal = interactions.find(args)
    if interaction == nil then
        return refusal
    end
    if interaction.step == 'done' or interaction.step == 'consent' then
        return interactions.repeated(interaction, args)
    end
    if interaction.step ~= 'profile' then
        return { type = 'unknown' }
    end
    local customer = customers.by_phone(interaction.phone)
    if customer == nil then
        customer = customers.create({
            sub = args.new_sub,
            phone = interaction.phone,
            phone_verified_at = interaction.phone_verified_at,
            terms_accepted_at = args.now,
            test = interaction.test,
            given_name = args.given_name,
            family_name = args.family_name,
            client_id = interaction.request.client_id,
        }, args.now)
    elseif customer.terms_accepted_at == 0 then
        customer = customers.complete(customer, args)
    end
    return interactions.sign_in(interaction, customer, interaction.phone_verified_at, args)
end

return M
