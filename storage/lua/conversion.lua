-- The conversion watch: messages sent against codes that came back right, in cells of constant size.
--
-- A cell is a prefix of numbers, a network, an address, a client, a prefix within a network, or all strangers from
-- networks that nobody vouches for; `wanted` is what was held back of a prefix. Its counters fade by half in every
-- half-life, so that a row is a sliding window. A cell whose messages stop coming back is held for a while, twice as
-- long each time that it had been sent some.
local audit_trail = require('audit_trail')

local M = {}

local HALF_LIFE = 3600
local VOUCHER_HALF_LIFE = 7 * 86400
local MOST_DOUBLINGS = 5
local PROBED = 1000 -- one of so many messages that a held cell asks for is sent, to see whether it comes back

local PUMPED = 0.1 -- a prefix is, when no more of all messages that are asked for come back

-- Messages that may be without an answer, for customers need their time, before a cell can be held.
local TOLERATED = { address = 3, pair = 5, network = 8, prefix = 15, strangers = 15, client = 50 }

-- Where nobody has been a customer for long, everybody is a stranger and nobody can vouch for anybody.
local SETTLED = 50 -- sign-ins of customers of long standing
local UNSETTLED_PATIENCE = 20 -- times as many unanswered messages

-- An attacker has few addresses that customers have too, and uses them for long.
local LONGER = { address = 4 }

-- Few come from one place.
local HALF_LIVES = { address = 86400, network = 43200 }

-- There are too many of these to tell of each.
local SILENT = { address = true, pair = true }

local DAY = 86400

M.CREDIT = 0.03 -- unanswered messages for each sign-in of a customer of long standing

-- The cell of a key as it is now; `of` reads and nothing more.
function M.of(level, name, now)
    local key = level .. ':' .. name
    local row = box.space.conversion:get(key)
    if row == nil then
        return {
            key = key, level = level, name = name, at = now, sent = 0, signed_in = 0, vouched = 0,
            strikes = 0, refused = 0, held_until = 0, blocked_until = 0,
        }
    end
    -- By their names: to unpack the whole row at once takes twice as long.
    local age = math.max(0, now - row.at)
    local left = 0.5 ^ (age / (HALF_LIVES[level] or HALF_LIFE))
    return {
        key = key, level = level, name = name, at = math.max(now, row.at),
        sent = row.sent * left, signed_in = row.signed_in * left,
        vouched = row.vouched * 0.5 ^ (age / VOUCHER_HALF_LIFE),
        strikes = row.strikes, refused = row.refused,
        held_until = row.held_until, blocked_until = row.blocked_until,
    }
end

function M.keep(cell)
    local known_for = cell.vouched >= 0.5 and 4 * VOUCHER_HALF_LIFE or 2 * DAY
    local expires_at = math.max(cell.at + known_for, cell.held_until, cell.blocked_until)
    box.space.conversion:replace({
        cell.key, cell.level, cell.at, cell.sent, cell.signed_in, cell.vouched,
        cell.strikes, cell.refused, cell.held_until, cell.blocked_until, expires_at,
    })
end

-- With each time that it was held there is less patience with it. A network in which many sign in has many more who
-- are about to, or give up.
local function patience(cell, settled)
    local crowd = cell.level == 'network' and M.CREDIT * cell.vouched or 0
    local tolerated = math.max(2, TOLERATED[cell.level] / 4 ^ cell.strikes)
    return (settled and 1 or UNSETTLED_PATIENCE) * tolerated + crowd
end

local function fails(cell, unanswered, lowest)
    return cell.sent - cell.signed_in >= unanswered and cell.signed_in < lowest * cell.sent
end

-- With 0 as the lowest conversion there is no watch.
function M.is_held(cell, lowest, now)
    return lowest > 0 and now < cell.held_until
end

-- Whether it is held, or on the way to it; where there are no customers of long standing yet, much earlier.
function M.is_doubtful(cell, lowest, now)
    return M.is_held(cell, lowest, now) or fails(cell, patience(cell, true) / 2, lowest)
end

-- Whether some of these have been customers for long.
function M.is_vouched(cell)
    return cell.vouched >= (cell.level == 'address' and 0.5 or 1.5)
end

-- Whether there are customers of long standing at all; the cell of all strangers has their sign-ins.
function M.is_settled(strangers)
    return strangers.vouched >= SETTLED
end

function M.unanswered(cell)
    return cell.sent - cell.signed_in
end

-- Whether strangers' messages do come back.
function M.is_proven(cell, lowest, now)
    return not M.is_held(cell, lowest, now) and cell.signed_in >= 1.5 and cell.signed_in >= lowest * cell.sent
end

-- Holds a cell back for so many seconds, for what became of the messages `asked` of it. Returns the alarm, if any.
local function hold(cell, asked, seconds, now)
    cell.held_until = now + seconds
    cell.refused = 0
    if SILENT[cell.level] then
        return nil
    end
    audit_trail.record('sending_held', now, {
        detail = {
            key = cell.key, asked = math.floor(asked + 0.5), sent = math.floor(cell.sent + 0.5),
            signed_in = math.floor(cell.signed_in + 0.5), held_until = cell.held_until,
        },
    })
    return { what = 'held', key = cell.key, percent = math.floor(100 * cell.signed_in / asked) }
end

-- One message more. Returns the alarm if the cell is held from now on.
function M.count_sent(cell, terms, now, settled)
    cell.sent = cell.sent + 1
    local alarm = nil
    if fails(cell, patience(cell, settled), terms.lowest_conversion) and now >= cell.held_until then
        local doublings = math.min(cell.strikes, MOST_DOUBLINGS)
        cell.strikes = cell.strikes + 1
        alarm = hold(cell, cell.sent, terms.hold * (LONGER[cell.level] or 1) * 2 ^ doublings, now)
    end
    M.keep(cell)
    return alarm
end

-- One message to a prefix that something else holds back: an attack shows in what it asks for, though next to nothing
-- of it is sent. Returns the alarm if the prefix is held from now on. It is never held for longer than the first time:
-- to ask for what is not sent costs next to nothing, so that whoever wants a range to be held has to go on asking.
function M.count_held_back(prefix, terms, now)
    local wanted = M.of('wanted', prefix.name, now)
    wanted.sent = wanted.sent + 1
    M.keep(wanted)
    local asked = prefix.sent + wanted.sent
    if now < prefix.held_until or asked - prefix.signed_in < TOLERATED.prefix
            or prefix.signed_in >= PUMPED * asked then
        return nil
    end
    local alarm = hold(prefix, asked, terms.hold, now)
    M.keep(prefix)
    return alarm
end

-- One message less than was counted.
function M.take_back(cell)
    cell.sent = math.max(cell.sent - 1, cell.signed_in)
    M.keep(cell)
end

-- Nothing that was counted of a cell before counts any more.
function M.begin_anew(cell)
    cell.blocked_until, cell.held_until, cell.strikes, cell.refused = 0, 0, 0, 0
    cell.sent, cell.signed_in = 0, 0
    M.keep(cell)
    if cell.level == 'prefix' then
        box.space.conversion:delete('wanted:' .. cell.name)
    end
end

-- One right code more. `vouches` says that its customer has been one for long.
function M.count_signed_in(cell, counted, vouches)
    if counted then
        cell.signed_in = math.min(cell.signed_in + 1, cell.sent)
    end
    if vouches then
        cell.vouched = cell.vouched + 1
    end
    if cell.sent >= 1 and cell.signed_in >= 0.9 * cell.sent then
        cell.strikes = 0
    end
    M.keep(cell)
end

-- One message less, for the cell is held. Returns whether this one is sent all the same.
function M.probes(cell)
    cell.refused = cell.refused + 1
    M.keep(cell)
    return cell.refused % PROBED == 0
end

return M
