-- One-time-code challenges: one live code per journey, its tries counted where it is checked.
local rows = require('rows')
local audit_trail = require('audit_trail')
local customers = require('customers')
local e164 = require('e164')
local limits = require('limits')
local outbox = require('outbox')
local sending = require('sending')

local M = {}

local LONGEST = 600 -- seconds that a code lives, however often it is sent
local FULL_RETRY = 10 -- seconds until the outbox may have room again

local function started(challenge, send, alarms)
    return {
        type = 'started', challenge_id = challenge.challenge_id, send = send,
        resend_at = challenge.resend_at, expires_at = challenge.expires_at, delivery = challenge.delivery,
        alarms = alarms,
    }
end

-- Begins a challenge for a journey, or repeats the running one: the same code, for a little longer.
-- `send` in the answer says whether a message is due now.
function M.start(journey, args)
    local now = args.now
    local customer = customers.by_phone(args.phone)
    if args.test and customer ~= nil and not customer.test then
        return { type = 'refused' }
    end
    local running = rows.live(box.space.challenge:get(journey), now)
    if running ~= nil and (running.phone ~= args.phone or running.spent_by ~= nil or running.tries_left == 0) then
        running = nil
    end
    if running ~= nil then
        if running.attempt == args.attempt then
            return started(running, not running.test and not sending.was_held(journey))
        end
        if now < running.resend_at then
            return started(running, false)
        end
        -- A code that would die before the customer can type it is not worth a message.
        if now + args.validity > running.created_at + LONGEST then
            running = nil
        end
    end
    if not args.test and outbox.is_full() then
        return { type = 'limited', retry_after = FULL_RETRY }
    end
    local under_way = running ~= nil and outbox.is_under_way(running)
    local decision = { held = false, wait = 0 }
    if not args.test then
        local refusal
        refusal, decision = sending.decide(journey, args, running ~= nil)
        if refusal ~= nil then
            return refusal
        end
    end
    if not decision.held then
        audit_trail.record(args.test and 'test_number_used' or 'code_sent', now, {
            client_id = args.client_id, detail = { phone = e164.mask(args.phone) },
        })
    end
    -- A repeat that is held back must not stop the message before it.
    local kept = decision.held and under_way
    local resend_at = now + decision.wait
    if running ~= nil then
        running = box.space.challenge:update(journey, {
            { '=', 'resend_at', resend_at }, { '=', 'expires_at', now + args.validity },
            { '=', 'attempt', args.attempt },
        })
    else
        running = rows.replace(box.space.challenge, {
            journey = journey,
            challenge_id = args.challenge_id,
            phone = args.phone,
            code_hash = args.otp_hash,
            tries_left = args.tries,
            resend_at = resend_at,
            created_at = now,
            expires_at = now + args.validity,
            attempt = args.attempt,
            test = args.test,
            client_id = args.bound_client_id,
        })
    end
    if not kept then
        outbox.queue(running, args)
    end
    return started(box.space.challenge:get(journey), not running.test and not decision.held, decision.alarms)
end

-- Tries that are left for a code, or for the digits of a flash call: these have fewer of their own.
function M.tries_left(challenge, call)
    if call and challenge.call_hash ~= nil then
        return math.min(challenge.call_tries, challenge.tries_left)
    end
    return challenge.tries_left
end

local function wrong(challenge, args)
    local left = M.tries_left(challenge, args.call)
    if left == 0 then
        return { type = 'exhausted' }
    end
    return { type = 'wrong', tries_left = left }
end

-- A code has one hash for each version of the secret that it may have been derived from.
local function holds(otp_hashes, code_hash)
    for _, hash in ipairs(otp_hashes) do
        -- Lua interns strings, so `==` compares two addresses: its time tells nothing about a code.
        if hash == code_hash then
            return true
        end
    end
    return false
end

-- The digits of a flash call are a second code, as long as the call's own tries last.
local function is_right(challenge, args)
    if challenge.call_hash ~= nil and challenge.call_tries > 0 and holds(args.otp_hashes, challenge.call_hash) then
        return true
    end
    return holds(args.otp_hashes, challenge.code_hash)
end

-- Checks a code and counts the try. Returns the challenge when it is right, otherwise nil and the refusal.
-- `spender` is who may present the right code again: a request that is repeated, or a browser's interaction.
-- With `call` the code can only be a flash call's.
function M.check(journey, args)
    local now = args.now
    local spender = args.spender or args.attempt
    local challenge = box.space.challenge:get(journey)
    if challenge == nil or rows.plain(challenge.client_id) ~= args.bound_client_id then
        return nil, { type = 'unknown' }
    end
    if now >= challenge.expires_at then
        return nil, { type = 'code_expired' }
    end
    local right = is_right(challenge, args)
    if challenge.spent_by ~= nil then
        if right and challenge.spent_by == spender then
            return challenge
        end
        return nil, { type = 'spent' }
    end
    if args.call and challenge.call_hash == nil then
        return nil, { type = 'malformed' }
    end
    -- A request that is repeated after a lost answer is not another guess.
    if challenge.tries_left == 0 or challenge.wrong_attempt == args.attempt
            or (args.call and challenge.call_tries == 0) then
        return nil, wrong(challenge, args)
    end
    local wrong_tries = sending.wrong_tries(journey, challenge.phone, args.wrong_tries)
    -- The first try of a journey is always heard: somebody else's guesses must not lock the customer out.
    -- How many journeys there are is bounded by the limits on sending.
    if not challenge.test and challenge.wrong_attempt ~= nil then
        local wait = limits.wait(wrong_tries, now)
        if wait > 0 then
            return nil, { type = 'limited', retry_after = wait }
        end
    end
    if right then
        if not challenge.test then
            sending.proven(journey, challenge.phone, now)
        end
        return box.space.challenge:update(journey, { { '=', 'spent_by', spender } })
    end
    if not challenge.test then
        limits.take(wrong_tries, now)
    end
    challenge = box.space.challenge:update(journey, {
        { '-', 'tries_left', 1 }, { '=', 'wrong_attempt', args.attempt },
    })
    if args.call then
        challenge = box.space.challenge:update(journey, { { '-', 'call_tries', 1 } })
    end
    if challenge.tries_left == 0 then
        audit_trail.record('code_exhausted', now, {
            client_id = args.client_id, detail = { phone = e164.mask(challenge.phone) },
        })
    end
    return nil, wrong(challenge, args)
end

return M
