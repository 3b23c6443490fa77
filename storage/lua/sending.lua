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
local UNPROVEN = 'unproven' -- the cell of all strangers whose networks do not vouch for them

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
        strangers = conversion.of('strangers', UNPROVEN, now),
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

-- The cell that holds a stranger back, or nil; and whether the network vouches for the stranger. A cell that fails is
-- outweighed by a witness that knows better: an address of customers of long standing; strangers with such numbers from
-- there who did sign in; and a network whose strangers sign in, or one of customers of long standing, for numbers of a
-- range that customers have, as long as next to none of its strangers leaves a message unanswered.
local function holding(cells, lowest, now)
    local function held(cell)
        return cell ~= nil and conversion.is_held(cell, lowest, now)
    end
    local function proven(cell)
        return conversion.is_proven(cell, lowest, now)
    end
    local address = cells.address ~= nil and conversion.is_vouched(cells.address) and not held(cells.address)
    local alike = proven(cells.pair)
    local known = conversion.is_vouched(cells.prefix)
    local usual = known and not held(cells.prefix)
    -- Many customers vouch for more than a few: or else a carrier's network could never prove its strangers again.
    local credit = (usual and 1.5 or 0.75) + conversion.CREDIT * cells.network.vouched
    local quiet = known and conversion.is_vouched(cells.network) and not held(cells.network)
        and conversion.unanswered(cells.network) < credit
    local trusted = quiet or proven(cells.network)
    local holder = nil
    if held(cells.address) and not (usual and alike) then
        holder = cells.address
    elseif held(cells.network) and not (address or alike) then
        holder = cells.network
    elseif held(cells.pair) and not address then
        holder = cells.pair
    elseif held(cells.prefix) and not (address or alike or trusted) then
        holder = cells.prefix
    elseif held(cells.strangers) and not trusted then
        holder = cells.strangers
    end
    return holder, trusted
end

local function is_proven(proof, attempt, now)
    if proof == nil or now >= proof.expires_at then
        return false
    end
    local spent = box.space.spent_proof:get(proof.proof_id)
    return spent == nil or spent.attempt == attempt
end

-- The cells that a message is counted in, by their levels and names, from the row that remembers it.
local function counted_in(sent)
    local names = { client = sent.client_id }
    if sent.stranger then
        names.address = rows.plain(sent.address)
        names.network, names.prefix, names.pair = sent.source, sent.prefix, pair(sent)
        names.strangers = sent.unproven and UNPROVEN or nil
    end
    return names
end

local function count(cells, sent, terms, now)
    local alarms = {}
    local settled = conversion.is_settled(cells.strangers)
    for level in pairs(counted_in(sent)) do
        table.insert(alarms, conversion.count_sent(cells[level], terms, now, settled))
    end
    return alarms
end

-- Whoever goes on with another number is judged anew: or else one answer would be for the messages to many.
local function same_number(journey, phone)
    local challenge = box.space.challenge:get(journey)
    return challenge ~= nil and challenge.phone == phone
end

-- What the first message was counted as stays, for its answer must be counted as the same. The field `witness` is
-- written by nobody: to take it out of the format would move `taken`, which stands behind it, in every row.
local function remember(journey, args, known, sent)
    local terms = args.sending
    local counted = known ~= nil and known.counted
    local first = counted and known or sent
    rows.replace(box.space.sent_code, {
        journey = journey, client_id = args.client_id, source = first.source, prefix = first.prefix,
        address = first.address, stranger = first.stranger, unproven = first.unproven,
        held = sent.held, counted = counted or not sent.held, taken = known ~= nil and rows.plain(known.taken) or nil,
        sends = sent.sends,
        wrong_burst = terms.wrong_tries.burst, wrong_period = terms.wrong_tries.period,
        expires_at = args.now + REMEMBERED,
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
    local sent = {
        client_id = args.client_id, source = terms.source, prefix = terms.prefix, address = terms.address,
        stranger = device == nil and is_stranger(args.phone, now), unproven = false, held = false,
        sends = (repeated and known ~= nil and known.sends or 0) + 1,
    }
    local alarms = {}
    if sent.stranger then
        local holder, trusted = holding(cells, lowest, now)
        sent.unproven = not trusted
        if holder ~= nil and not conversion.probes(holder) then
            sent.held = true
            table.insert(alarms, conversion.count_held_back(cells.prefix, terms, now))
        else
            sent.held = budgets.wait(budget, terms.client_budget, STRANGERS_SHARE, now) > 0
                or limits.take({ terms.prefix_limit }, now) > 0
        end
    end
    if not sent.held then
        -- A repeat is the same customer, who signs in once.
        if known == nil or not known.counted then
            alarms = count(cells, sent, terms, now)
        end
        limits.take(unanswered(args.phone), now)
        table.insert(alarms, budgets.spend(budget, terms.client_budget, now))
    end
    remember(journey, args, known, sent)
    local wait_for_next = args.resend_after * 2 ^ math.min(sent.sends - 1, MOST_DOUBLINGS)
    return nil, { held = sent.held, wait = wait_for_next, alarms = alarms }
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

-- A provider has taken, or perhaps taken, a message of a journey: from here on it has cost something.
function M.taken(journey)
    if box.space.sent_code:get(journey) ~= nil then
        box.space.sent_code:update(journey, { { '=', 'taken', true } })
    end
end

-- Nobody has taken a journey's message, nor one before it: what never left is no message without an answer.
function M.take_back(journey, phone, now)
    local known = box.space.sent_code:get(journey)
    if known == nil or not known.counted or rows.plain(known.taken) then
        return
    end
    box.space.sent_code:update(journey, { { '=', 'counted', false } })
    limits.give_back(unanswered(phone), now)
    budgets.give_back('client:' .. known.client_id, known.expires_at - REMEMBERED, now)
    for level, name in pairs(counted_in(known)) do
        conversion.take_back(conversion.of(level, name, now))
    end
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
    local counted = counted_in(known)
    local vouched = vouches and {
        address = rows.plain(known.address), network = known.source, prefix = known.prefix, strangers = UNPROVEN,
    } or {}
    for level, name in pairs(counted) do
        conversion.count_signed_in(conversion.of(level, name, now), true, vouches)
    end
    for level, name in pairs(vouched) do
        if counted[level] == nil then
            conversion.count_signed_in(conversion.of(level, name, now), false, true)
        end
    end
end

return M
