-- The conversion watch: messages sent against codes that came back right, in cells of constant size.
--
-- A cell is a prefix of numbers, a network, an address, a client, a prefix within a network, or all strangers from
-- networks that are not known for strangers who sign in. Its counters fade by half in every half-life, so that a row
-- is a sliding window. A cell whose messages stop coming back is held for a while, twice as long each time.
local audit_trail = require('audit_trail')

local M = {}

local HALF_LIFE = 3600
local VOUCHER_HALF_LIFE = 7 * 86400
local MOST_DOUBLINGS = 5
local PROBED = 1000 -- one of so many messages that a held cell asks for is sent, to see whether it comes back

-- Messages that may be without an answer, for customers need their time, before a cell can be held.
local TOLERATED = { address = 2, pair = 5, network = 8, witness = 10, prefix = 15, strangers = 15, client = 50 }

-- An attacker has few addresses that customers have too, and uses them for long.
local LONGER = { address = 4 }

-- Few come from one place.
local HALF_LIVES = { address = 86400, network = 43200, witness = 86400 }

-- There are too many of these to tell of each.
local SILENT = { address = true, pair = true }

local DAY = 86400

M.CREDIT = 0.03 -- unanswered messages for each sign-in of a customer of long standing

local function faded(value, seconds, half_life)
    return value * 0.5 ^ (seconds / half_life)
end

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
    local age, half_life = math.max(0, now - row.at), HALF_LIVES[level] or HALF_LIFE
    return {
        key = key, level = level, name = name, at = math.max(now, row.at),
        sent = faded(row.sent, age, half_life), signed_in = faded(row.signed_in, age, half_life),
        vouched = faded(row.vouched, age, VOUCHER_HALF_LIFE),
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
local function patience(cell)
    local crowd = cell.level == 'network' and M.CREDIT * cell.vouched or 0
    return math.max(2, TOLERATED[cell.level] / 4 ^ cell.strikes) + crowd
end

local function fails(cell, unanswered, lowest)
    return cell.sent - cell.signed_in >= unanswered and cell.signed_in < lowest * cell.sent
end

-- With 0 as the lowest conversion there is no watch.
function M.is_held(cell, lowest, now)
    return lowest > 0 and now < cell.held_until
end

-- Whether it is held, or on the way to it.
function M.is_doubtful(cell, lowest, now)
    return M.is_held(cell, lowest, now) or fails(cell, patience(cell) / 2, lowest)
end

-- Whether those who come from here have been customers for long.
function M.is_vouched(cell)
    return cell.vouched >= (cell.level == 'address' and 0.5 or 2.5)
end

function M.unanswered(cell)
    return cell.sent - cell.signed_in
end

-- Whether strangers' messages do come back.
function M.is_proven(cell, lowest, now)
    return not M.is_held(cell, lowest, now) and cell.signed_in >= 1.5 and cell.signed_in >= lowest * cell.sent
end

-- One message more. Returns the alarm if the cell is held from now on.
function M.count_sent(cell, terms, now)
    cell.sent = cell.sent + 1
    local alarm = nil
    if fails(cell, patience(cell), terms.lowest_conversion) and now >= cell.held_until then
        local doublings = math.min(cell.strikes, MOST_DOUBLINGS)
        cell.held_until = now + terms.hold * (LONGER[cell.level] or 1) * 2 ^ doublings
        cell.strikes = cell.strikes + 1
        cell.refused = 0
        if not SILENT[cell.level] then
            alarm = { what = 'held', key = cell.key, percent = math.floor(100 * cell.signed_in / cell.sent) }
            audit_trail.record('sending_held', now, {
                detail = {
                    key = cell.key, sent = math.floor(cell.sent + 0.5),
                    signed_in = math.floor(cell.signed_in + 0.5), held_until = cell.held_until,
                },
            })
        end
    end
    M.keep(cell)
    return alarm
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
