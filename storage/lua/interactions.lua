-- What the steps of a login share: finding the interaction, and ending it with a session and a code.
local alive = require('alive')
local audit_trail = require('audit_trail')
local consents = require('consents')
local customers = require('customers')
local e164 = require('e164')
local grants = require('grants')
local limits = require('limits')
local memory = require('memory')
local sessions = require('sessions')

local M = {}

-- Anybody can ask for authorization, so this is refused before memory runs out. Returns nil where there is room.
function M.room_for_more(args)
    if memory.is_scarce() then
        return { type = 'limited', retry_after = 60 }
    end
    local wait = limits.take({ args.limit }, args.now)
    return wait > 0 and { type = 'limited', retry_after = wait } or nil
end

-- What is redirected nowhere was begun by an app without a browser.
local function is_native(interaction)
    return interaction.request.redirect_uri == ''
end

-- The interaction, or nil and the answer that refuses. It belongs to the browser that began it; an app's own belongs to
-- its client (`bound_client_id`), and no page goes on with it.
function M.find(args)
    local interaction = box.space.interaction:get(args.interaction_id)
    if interaction == nil then
        return nil, { type = 'unknown' }
    end
    if interaction.browser_hash ~= args.browser_hash then
        return nil, { type = 'other_browser' }
    end
    local bound_client_id = is_native(interaction) and interaction.request.client_id or nil
    if bound_client_id ~= args.bound_client_id then
        return nil, { type = 'unknown' }
    end
    if args.now >= interaction.expires_at then
        return nil, { type = 'expired', request = interaction.request }
    end
    return interaction
end

local function signed_in(interaction)
    return {
        type = 'signed_in', sub = interaction.sub, sid = interaction.sid, request = interaction.request,
        phone = e164.unpack(interaction.phone),
    }
end

-- The session in which a customer is asked for consent, or nil where it has ended: the customer may be blocked, or
-- somebody else may have signed in.
function M.waiting_session(interaction, now)
    local session = alive.session(interaction.sid, now)
    return session ~= nil and session.sub == interaction.sub and session or nil
end

-- The customer has signed in and is asked for consent.
function M.awaiting(interaction, args)
    if M.waiting_session(interaction, args.now) == nil then
        return { type = 'completed', request = interaction.request }
    end
    return { type = 'consent_awaited', sid = interaction.sid, phone = e164.unpack(interaction.phone) }
end

-- The same step again, by a second click or a retry: the same answer, as long as its code is unused.
function M.repeated(interaction, args)
    if interaction.step == 'consent' then
        return M.awaiting(interaction, args)
    end
    local code = interaction.code_hash ~= nil and box.space.code:get(interaction.code_hash) or nil
    local session = interaction.sid ~= nil and alive.session(interaction.sid, args.now)
    if code ~= nil and code.attempt == nil and args.now < code.expires_at and session then
        return signed_in(interaction)
    end
    return { type = 'completed', request = interaction.request }
end

-- The answer when `customer` (nil: a phone of nobody yet), who has proven the phone, may not sign in; otherwise nil.
function M.refusal(interaction, customer, args)
    local required_sub = interaction.request.required_sub
    if required_sub ~= nil and (customer == nil or customer.sub ~= required_sub) then
        box.space.interaction:update(interaction.interaction_id, { { '=', 'step', 'cancelled' } })
        return { type = 'other_customer', request = interaction.request }
    end
    if customer == nil or not customers.is_blocked(customer) then
        return nil
    end
    if interaction.step ~= 'blocked' then
        box.space.interaction:update(interaction.interaction_id, { { '=', 'step', 'blocked' } })
        customers.note_refusal(customer, interaction.request.client_id, args.now)
    end
    return { type = 'customer_blocked' }
end

-- The end of a login: a grant for what is `wanted`, and its code.
function M.finish(interaction, session, wanted, args)
    grants.open_with_code(args, session, wanted, args.now)
    return signed_in(box.space.interaction:update(interaction.interaction_id, {
        { '=', 'step', 'done' }, { '=', 'sub', session.sub },
        { '=', 'sid', session.sid }, { '=', 'code_hash', args.code_hash },
    }))
end

-- The phone is proven: session, grant and code, in one transaction with whatever proved it. Where the customer has to
-- be asked for consent first, the session alone.
function M.sign_in(interaction, customer, phone_verified_at, args)
    local now = args.now
    local refusal = M.refusal(interaction, customer, args)
    if refusal ~= nil then
        return refusal
    end
    local session = sessions.establish(customer.sub, args)
    customers.note_sign_in(customer, phone_verified_at, now)
    audit_trail.record('signed_in', now, {
        sub = customer.sub, client_id = interaction.request.client_id,
        detail = { sid = session.sid, amr = args.amr, test = customer.test },
    })
    local wanted = consents.granted(customer.sub, interaction.request)
    if wanted ~= nil then
        return M.finish(interaction, session, wanted, args)
    end
    return M.awaiting(box.space.interaction:update(interaction.interaction_id, {
        { '=', 'step', 'consent' }, { '=', 'sub', customer.sub }, { '=', 'sid', session.sid },
    }), args)
end

return M
