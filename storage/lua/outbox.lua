-- The outbox: a code is queued in the transaction that begins or repeats its challenge, and sent by any worker.
--
-- A message goes through the steps of a cascade that the workers know. `queued` waits for a worker; `claimed` is one
-- worker's until its lease runs out, and nothing has been handed over; `submitting` is with a provider that takes the
-- same submission twice for one; `submitted` counts as sent, and its next step is due when no receipt comes in time.
local audit_trail = require('audit_trail')
local budgets = require('budgets')
local e164 = require('e164')
local rows = require('rows')
local sending = require('sending')

local M = {}

local LONGEST = 100000 -- messages on their way
local CALL_TRIES = 3 -- of a flash call's four digits
local EARLY = 60 -- seconds that a receipt waits for the answer that it belongs to
local NOBODYS = string.rep('\0', 32) -- the hash of no digits
local LATE = 600 -- seconds that a receipt is waited for: no code lives longer
local ANY = '' -- in the place of a provider: whichever took the message

-- Whether a message of a journey is held back; only the newest can be, for none takes the place of one that is not.
local function is_held(message_id, challenge)
    return message_id == challenge.attempt and sending.was_held(challenge.journey)
end

function M.is_full()
    return box.space.outbox:len() >= LONGEST
end

-- Whether a message that will be sent is still under way for a challenge.
function M.is_under_way(challenge)
    local message = box.space.outbox:get(challenge.journey)
    return message ~= nil and not is_held(message.message_id, challenge)
end

-- Queues a message of `args.attempt`; it takes the place of the journey's last one, if that is still under way.
function M.queue(challenge, args)
    if challenge.test then
        return
    end
    if challenge.delivery ~= nil then
        box.space.challenge:update(challenge.journey, { { '=', 'delivery', box.NULL } })
    end
    rows.replace(box.space.outbox, {
        journey = challenge.journey,
        message_id = args.attempt,
        challenge_id = challenge.challenge_id,
        client_id = args.client_id,
        locale = args.locale,
        step = 1,
        state = 'queued',
        due_at = args.now,
        queued_at = args.now,
        expires_at = challenge.expires_at,
    })
end

-- The challenge that a code would still be good for.
local function wanted(message, now)
    local challenge = rows.live(box.space.challenge:get(message.journey), now)
    if challenge == nil or challenge.challenge_id ~= message.challenge_id
            or challenge.spent_by ~= nil or challenge.tries_left == 0 then
        return nil
    end
    return challenge
end

local function described(message, challenge, now)
    return {
        journey = message.journey, message_id = message.message_id, challenge_id = message.challenge_id,
        phone = e164.unpack(challenge.phone), client_id = message.client_id, locale = message.locale,
        step = message.step, provider = message.provider, valid_for = challenge.expires_at - now,
        age = now - message.queued_at,
    }
end

local function due(args)
    local found = {}
    for _, message in box.space.outbox.index.due_at:pairs() do
        if #found == args.limit or message.due_at > args.now then
            break
        end
        table.insert(found, message)
    end
    return found
end

local function take(message, args)
    local step = message.step
    if message.state == 'submitted' then
        step = step + 1
        sending.taken(message.journey)
    end
    local provider = message.state == 'submitting' and message.provider or box.NULL
    return box.space.outbox:update(message.journey, {
        { '=', 'claim', args.claim }, { '=', 'due_at', args.now + args.lease }, { '=', 'step', step },
        { '=', 'state', provider ~= nil and 'submitting' or 'claimed' }, { '=', 'provider', provider },
    })
end

-- Gives the caller what is due, for `lease` seconds; nobody else has it meanwhile. A message that names a `provider`
-- has perhaps been handed to it.
function M.claim(args)
    local answer = {}
    for _, message in box.space.outbox.index.claim:pairs(args.claim) do
        local challenge = wanted(message, args.now)
        if challenge ~= nil then
            table.insert(answer, described(message, challenge, args.now))
        end
    end
    if #answer > 0 then
        return answer -- once more: the first answer was lost
    end
    for _, message in ipairs(due(args)) do
        local challenge = wanted(message, args.now)
        if challenge == nil then
            box.space.outbox:delete(message.journey)
        else
            table.insert(answer, described(take(message, args), challenge, args.now))
        end
    end
    return answer
end

local function claimed(args)
    local message = box.space.outbox:get(args.journey)
    if message == nil or message.message_id ~= args.message_id or rows.plain(message.claim) ~= args.claim then
        return nil
    end
    return message
end

-- What is held back came this far, and from here on looks like what has arrived.
local function withhold(challenge, args)
    box.space.outbox:delete(args.journey)
    if args.kind == 'flash_call' and challenge.call_hash == nil then
        box.space.challenge:update(args.journey, {
            { '=', 'call_hash', NOBODYS }, { '=', 'call_tries', CALL_TRIES },
        })
    end
end

-- The moment before a provider is given a message: the last at which it may prove to be no longer wanted, or its
-- provider's messages of the day to be spent. Without `idempotent` it counts as sent from here on. Absent `wait`,
-- nothing follows.
function M.submit(args, now)
    local message = claimed(args)
    if message == nil then
        return { type = 'unknown' }
    end
    local challenge = wanted(message, now)
    if challenge == nil then
        box.space.outbox:delete(args.journey)
        return { type = 'unknown' }
    end
    local key = 'provider:' .. args.provider
    -- The same message given to the same provider once more costs nothing more.
    local costs = message.provider ~= args.provider
    if costs and budgets.wait(key, args.budget, 1, now) > 0 then
        return { type = 'over_budget' }
    end
    box.space.challenge:update(args.journey, { { '=', 'delivery', args.kind } })
    if is_held(args.message_id, challenge) then
        withhold(challenge, args)
        return { type = 'unknown' }
    end
    local alarm = costs and budgets.spend(key, args.budget, now) or nil
    local next_at = args.wait ~= nil and now + args.wait or message.expires_at
    box.space.outbox:update(args.journey, {
        { '=', 'provider', args.provider },
        { '=', 'state', args.idempotent and 'submitting' or 'submitted' },
        { '=', 'due_at', args.idempotent and now + args.lease or next_at },
    })
    return { type = 'submitting', alarm = alarm }
end

-- The customer may ask again at once.
local function fail(journey, client_id, now)
    local challenge = rows.live(box.space.challenge:get(journey), now)
    if challenge == nil or challenge.spent_by ~= nil then
        return
    end
    box.space.challenge:update(journey, {
        { '=', 'resend_at', math.min(now, challenge.resend_at) }, { '=', 'delivery', 'failed' },
    })
    audit_trail.record('code_not_sent', now, {
        client_id = client_id, detail = { phone = e164.mask(challenge.phone) },
    })
    sending.take_back(journey, challenge.phone, now)
end

local function next_step(message, last, now)
    if last then
        box.space.outbox:delete(message.journey)
        fail(message.journey, message.client_id, now)
        return
    end
    box.space.outbox:update(message.journey, {
        { '=', 'step', message.step + 1 }, { '=', 'state', 'queued' }, { '=', 'due_at', now },
        { '=', 'claim', box.NULL }, { '=', 'provider', box.NULL },
    })
end

-- A provider has certainly not taken the message, or there was none to give it to.
function M.refused(args)
    local message = claimed(args)
    if message ~= nil then
        if rows.plain(message.provider) ~= nil then
            budgets.give_back('provider:' .. message.provider, message.queued_at, args.now)
        end
        next_step(message, args.last, args.now)
    end
    return message ~= nil
end

local function is_newest(submission)
    local challenge = box.space.challenge:get(submission.journey)
    return challenge ~= nil and challenge.attempt == submission.message_id
end

-- What one step delivered, no other step can fail any more; nor has it failed, where one gave it up too early.
local function arrive(submission, now)
    rows.replace(box.space.submission, {
        provider = ANY, provider_id = submission.message_id, expires_at = now + LATE, delivered = true,
    })
    box.space.outbox:delete(submission.journey)
    if is_newest(submission) and box.space.challenge:get(submission.journey).delivery == 'failed' then
        box.space.challenge:update(submission.journey, { { '=', 'delivery', box.NULL } })
    end
end

local function has_arrived(submission)
    return box.space.submission:get({ ANY, submission.message_id }) ~= nil
end

local function act_on(submission, delivered, now)
    local message = box.space.outbox:get(submission.journey)
    if message ~= nil and message.message_id ~= submission.message_id then
        return
    end
    if delivered then
        arrive(submission, now)
    elseif has_arrived(submission) then
        return
    elseif message ~= nil and message.step == submission.step then
        next_step(message, submission.last, now)
    elseif message == nil and submission.last and is_newest(submission) then
        fail(submission.journey, submission.client_id, now)
    end
end

-- A provider took the message, or perhaps took it. With `provider_id` there may be a receipt.
function M.submitted(args, now)
    local message = claimed(args)
    local challenge = rows.live(box.space.challenge:get(args.journey), now)
    local current = challenge ~= nil and challenge.challenge_id == args.challenge_id
    if current then
        sending.taken(args.journey)
    end
    if args.call_hash ~= nil and current and rows.plain(challenge.call_hash) ~= args.call_hash then
        box.space.challenge:update(args.journey, {
            { '=', 'call_hash', args.call_hash }, { '=', 'call_tries', CALL_TRIES },
        })
    end
    if message ~= nil and message.step == args.step then
        if args.wait == nil then
            box.space.outbox:delete(args.journey)
        else
            box.space.outbox:update(args.journey, {
                { '=', 'state', 'submitted' }, { '=', 'due_at', now + args.wait },
            })
        end
    end
    if args.provider_id == nil then
        return
    end
    local early = box.space.submission:get({ args.provider, args.provider_id })
    if early ~= nil and early.journey ~= nil then
        return
    end
    local delivered = nil
    if early ~= nil then
        delivered = early.delivered
    end
    local submission = rows.replace(box.space.submission, {
        provider = args.provider, provider_id = args.provider_id, expires_at = now + LATE,
        delivered = delivered, journey = args.journey, message_id = args.message_id, client_id = args.client_id,
        step = args.step, last = args.wait == nil,
    })
    if delivered ~= nil then
        act_on(submission, delivered, now)
    end
end

-- What became of a submission; the first word counts, except that what was given up may still arrive.
function M.receipt(provider, receipt, now)
    local key = { provider, receipt.provider_id }
    local submission = box.space.submission:get(key)
    if submission == nil or submission.journey == nil then
        rows.replace(box.space.submission, {
            provider = provider, provider_id = receipt.provider_id, expires_at = now + EARLY,
            delivered = receipt.delivered or submission ~= nil and submission.delivered,
        })
        return 'unknown'
    end
    if submission.delivered == true or submission.delivered == receipt.delivered then
        return 'repeated'
    end
    box.space.submission:update(key, { { '=', 'delivered', receipt.delivered } })
    act_on(submission, receipt.delivered, now)
    return 'noted'
end

return M
