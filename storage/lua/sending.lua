-- Whether a message is sent: who asks, from where, for which number, and how such messages have ended.
--
-- Three kinds ask. A device that has signed in with this number has an allowance of its own, so that nobody else can
-- use it up. A customer of some standing passes within the limits. A stranger, whose number nobody has signed in with
-- for a day, is what costs money when it is invented: the conversion watch judges strangers alone. What depends on the
-- kind is never told: a message that is held back looks like one that was sent.
local budgets = require('budgets')
local conversion = require('conversion')
local customers = require('customers')
local e164 = require('e164')
local limits = require('limits')
local rows = require('rows')

local M = {}

local STANDING = 86400 -- seconds that somebody has to be a customer for
local UNANSWERED = { burst = 3, period = 86400 } -- messages to one number that nobody answers
local STRANGERS_SHARE = 0.8 -- of a client's budget; the rest is kept for customers
local REMEMBERED = 900 -- seconds that a journey's sending is
local MOST_DOUBLINGS = 3

local function limited(seconds)
    return { type = 'limited', retry_after = math.max(1, math.ceil(seconds)) }
end

local function unanswered(phone)
    return { { key = 'unanswered:' .. e164.unpack(phone), burst = UNANSWERED.burst, period = UNANSWERED.period } }
end

local function has_standing(customer, now)
    return customer ~= nil and now - customer.created_at >= STANDING
end

local function is_stranger(phone, now)
    return not has_standing(customers.by_phone(phone), now) or limits.wait(unanswered(phone), now) > 0
end

local function pair(terms)
    return terms.prefix .. ' ' .. terms.source
end

local function cells_of(terms, client_id, now)
    return {
        address = rows.plain(terms.address) and conversion.of('address', terms.address, now) or nil,
        network = conversion.of('network', terms.source, now),
        prefix = conversion.of('prefix', terms.prefix, now),
        pair = conversion.of('pair', pair(terms), now),
        strangers = conversion.of('strangers', 'unproven', now),
        client = conversion.of('client', client_id, now),
    }
end

local function blocked_until(cells)
    return math.max(cells.network.blocked_until, cells.prefix.blocked_until, cells.client.blocked_until)
end

-- Whether whoever asks has to work for it first. It is asked of customers and strangers alike.
local function is_doubtful(cells, lowest, now)
    for level, cell in pairs(cells) do
        local counts = level ~= 'strangers' or not conversion.is_proven(cells.network, lowest, now)
        if counts and conversion.is_doubtful(cell, lowest, now) then
            return true
        end
    end
    return false
end

-- The cell that holds a stranger back, or nil. A cell that fails is outweighed by a witness that knows better: an
-- address or a network of customers of long standing, as long as no stranger from there leaves a message unanswered;
-- strangers with such numbers from there who did sign in; and with numbers such as strangers usually have, one stranger
-- more. What is sent from an address that fails is counted in a cell of its own, which is the second answer.
local function holding(cells, lowest, now)
    local function held(cell)
        return cell ~= nil and conversion.is_held(cell, lowest, now)
    end
    local function proven(cell)
        return conversion.is_proven(cell, lowest, now)
    end
    local address = cells.address ~= nil and conversion.is_vouched(cells.address) and not held(cells.address)
    local network = conversion.is_vouched(cells.network) and not held(cells.network)
    local alike = proven(cells.pair)
    local usual = network and proven(cells.prefix)
    if held(cells.address) then
        local witness = conversion.of('witness', cells.address.key, now)
        if usual and conversion.unanswered(witness) < 1 then
            return nil, witness
        end
        return cells.address
    elseif held(cells.network) and not (address or alike) then
        return cells.network
    elseif held(cells.pair) and not address then
        return cells.pair
    end
    -- Many customers vouch for more than a few: or else a carrier's network could never prove its strangers again.
    local credit = (usual and 1.5 or 0.75) + conversion.CREDIT * cells.network.vouched
    local quiet = network and conversion.unanswered(cells.network) < credit
    local trusted = quiet or proven(cells.network)
    if held(cells.prefix) and not (address or alike or trusted) then
        return cells.prefix
    elseif held(cells.strangers) and not trusted then
        return cells.strangers
    end
    return nil
end

local function is_proven(proof, attempt, now)
    if proof == nil or now >= proof.expires_at then
        return false
    end
    local spent = box.space.spent_proof:get(proof.proof_id)
    return spent == nil or spent.attempt == attempt
end

local function count(cells, stranger, unproven, terms, now)
    local alarms = {}
    local function one(cell)
        table.insert(alarms, cell ~= nil and conversion.count_sent(cell, terms, now) or nil)
    end
    one(cells.client)
    if stranger then
        one(cells.address)
        one(cells.network)
        one(cells.prefix)
        one(cells.pair)
        one(cells.witness)
        if unproven then
            one(cells.strangers)
        end
    end
    return alarms
end

-- Whoever goes on with another number is judged anew: or else one answer would be for the messages to many.
local function same_number(journey, phone)
    local challenge = box.space.challenge:get(journey)
    return challenge ~= nil and challenge.phone == phone
end

-- What the first message was counted as stays, for its answer must be counted as the same.
local function remember(journey, args, known, sent)
    local terms = args.sending
    local counted = known ~= nil and known.counted
    local first = counted and known or sent
    rows.replace(box.space.sent_code, {
        journey = journey, source = terms.source, prefix = terms.prefix, client_id = args.client_id,
        stranger = first.stranger, unproven = first.unproven, witness = first.witness,
        held = sent.held, counted = counted or not sent.held,
        sends = sent.sends,
        wrong_burst = terms.wrong_tries.burst, wrong_period = terms.wrong_tries.period,
        expires_at = args.now + REMEMBERED, address = terms.address,
        device = terms.device ~= nil and terms.device.key or nil,
    })
end

-- Decides about one more message for a journey, and counts it; `repeated` says that it is for the code that runs.
-- Returns the refusal; or nil and `held`, whether the message is held back in silence, `wait`, seconds until the next
-- one, and the `alarms` that were raised.
function M.decide(journey, args, repeated)
    local now, terms = args.now, args.sending
    local lowest = terms.lowest_conversion
    local device = rows.plain(terms.device)
    local cells = cells_of(terms, args.client_id, now)
    local blocked = blocked_until(cells)
    if now < blocked then
        return limited(blocked - now)
    end
    local send_limits = device and { device } or args.send_limits
    local budget = 'client:' .. args.client_id
    local wait = math.max(
        limits.wait(send_limits, now),
        budgets.wait(budget, terms.client_budget, 1, now),
        device and 0 or limits.wait({ terms.wrong_tries }, now)
    )
    if wait > 0 then
        return limited(wait)
    end
    if device == nil and is_doubtful(cells, lowest, now) then
        if not is_proven(rows.plain(terms.proof), args.attempt, now) then
            return { type = 'proof_wanted' }
        end
        box.space.spent_proof:replace({ terms.proof.proof_id, args.attempt, terms.proof.expires_at })
    end
    limits.take(send_limits, now)

    local known = same_number(journey, args.phone) and rows.live(box.space.sent_code:get(journey), now) or nil
    local stranger = device == nil and is_stranger(args.phone, now)
    local unproven = stranger and not conversion.is_proven(cells.network, lowest, now)
    local held = false
    if stranger then
        local cell
        cell, cells.witness = holding(cells, lowest, now)
        held = cell ~= nil and not conversion.probes(cell)
            or budgets.wait(budget, terms.client_budget, STRANGERS_SHARE, now) > 0
            or limits.take({ terms.prefix_limit }, now) > 0
    end
    local alarms = {}
    if not held then
        -- A repeat is the same customer, who signs in once.
        if known == nil or not known.counted then
            alarms = count(cells, stranger, unproven, terms, now)
        end
        limits.take(unanswered(args.phone), now)
        table.insert(alarms, budgets.spend(budget, terms.client_budget, now))
    end
    local sends = repeated and known ~= nil and known.sends or 0
    remember(journey, args, known, {
        stranger = stranger, unproven = unproven, held = held, sends = sends + 1,
        witness = cells.witness ~= nil and cells.witness.name or nil,
    })
    local wait_for_next = args.resend_after * 2 ^ math.min(sends, MOST_DOUBLINGS)
    return nil, { held = held, wait = wait_for_next, alarms = alarms }
end

-- Whether the last message of a journey was held back.
function M.was_held(journey)
    local known = box.space.sent_code:get(journey)
    return known ~= nil and known.held
end

-- The limits that a wrong code counts against: those of the number, or of the customer's own device; and of the source.
function M.wrong_tries(journey, phone, limit)
    local known = box.space.sent_code:get(journey)
    local whose = known ~= nil and rows.plain(known.device) or e164.unpack(phone)
    local counted = { { key = 'wrong:' .. whose, burst = limit.burst, period = limit.period } }
    if known ~= nil and known.device == nil then
        table.insert(counted, {
            key = 'wrong:source:' .. known.source, burst = known.wrong_burst, period = known.wrong_period,
        })
    end
    return counted
end

-- The code of a journey came back right.
function M.proven(journey, phone, now)
    local known = box.space.sent_code:get(journey)
    if known == nil or not known.counted then
        return
    end
    box.space.sent_code:delete(journey)
    box.space.rate_limit:delete('unanswered:' .. e164.unpack(phone))
    local vouches = has_standing(customers.by_phone(phone), now)
    local function one(level, name, counted)
        conversion.count_signed_in(conversion.of(level, name, now), counted, vouches)
    end
    one('client', known.client_id, true)
    if known.address ~= nil and (known.stranger or vouches) then
        one('address', known.address, known.stranger)
    end
    if known.stranger or vouches then
        one('network', known.source, known.stranger)
    end
    if known.stranger then
        one('prefix', known.prefix, true)
        one('pair', pair(known), true)
        if known.witness ~= nil then
            one('witness', known.witness, true)
        end
        if known.unproven then
            one('strangers', 'unproven', true)
        end
    end
end

return M
