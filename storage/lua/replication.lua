-- Whether this node answers, and from when on its answers hold.
--
-- Where replicas keep copies, an answer leaves only when enough of them have acknowledged a row that was written
-- after the answer was decided. So what it tells outlives this node; and since a promotion first makes a majority
-- stop following, an old writer that does not know of it yet can neither write nor read for anybody.
local fiber = require('fiber')

local M = {
    leads = true, -- whether procedures are answered here
    term = 0, -- of the promotion by which this node leads
    copies = 0, -- replicas that must have a row
}

local WAIT = 0.8 -- seconds; less than a caller waits for one attempt
local POLL = 0.0001 -- seconds; Tarantool tells nobody of an acknowledgement, and a look takes a tenth of that
local CLOSE = 60 -- seconds between two silences
local REMEMBERED = 16 -- silences; a network that fails again and again must not hide replays for ever
local LONGEST_CALL = 5 -- seconds, with all its attempts, unless the settings say otherwise
local BARRIER = 2 -- the row of `heartbeat` that gives a read something to be acknowledged

local acknowledged = 0 -- the last of our rows that so many have
local progress = fiber.cond()
local waiting, wanted = 0, fiber.cond()
local reads, asked = nil, fiber.cond() -- those who wait for the next barrier
-- When nobody could be told anything: `since`, `latest`, and `till` when it is over, by the callers' clocks; it `ended`
-- by this node's.
local silences = {}
local heard -- when somebody was told something last, or 0, by the callers' clocks; the next writer finds it in BARRIER

local function acknowledged_by_enough()
    local found = {}
    for _, peer in pairs(box.info.replication) do
        local vclock = peer.downstream and peer.downstream.vclock
        if vclock ~= nil then
            table.insert(found, vclock[box.info.id] or 0)
        end
    end
    table.sort(found, function(a, b) return a > b end)
    return found[M.copies] or 0
end

local function follow_acknowledgements()
    fiber.name('acknowledged')
    while true do
        while waiting == 0 do
            wanted:wait()
        end
        local reached = acknowledged_by_enough()
        if reached > acknowledged then
            acknowledged = reached
            progress:broadcast()
        end
        fiber.sleep(POLL)
    end
end

-- Whether enough replicas have what this node had written up to `lsn`, after waiting for it.
local function await(lsn)
    local deadline = fiber.clock() + WAIT
    waiting = waiting + 1
    wanted:signal()
    while M.leads and acknowledged < lsn and fiber.clock() < deadline do
        progress:wait(deadline - fiber.clock())
    end
    waiting = waiting - 1
    return acknowledged >= lsn
end

-- Notes by the callers' clocks when acknowledgements stopped, and when they came again.
local function note(reached, now)
    local last = silences[#silences]
    if reached then
        if last ~= nil and last.till == nil then
            -- Whoever is the first to hear may have asked long ago.
            last.till, last.ended = math.max(last.latest, now), fiber.clock()
        elseif last ~= nil and now < last.till and fiber.clock() - last.ended > LONGEST_CALL then
            -- It was over by then: the clock of whoever ended it is ahead.
            last.till = now
        end
    elseif last ~= nil and (last.till == nil or now - 1 <= last.till) then
        last.till = nil
        last.latest = math.max(last.latest, now)
    else
        table.insert(silences, { since = now - 1, latest = now })
        if #silences > REMEMBERED then
            table.remove(silences, 1)
        end
    end
end

local function insist(reached, now)
    if now ~= nil then
        note(reached, now)
        heard = reached and math.max(heard, now) or heard
    end
    if not reached then
        box.error({ code = box.error.TIMEOUT, reason = 'too few replicas have acknowledged it' })
    end
end

-- From when on anybody can have been told of a write that was made at `moment`. Who was not told in one silence may
-- not have come again before the next.
function M.told_from(moment, now)
    local told, untold = moment, false
    for _, silence in ipairs(silences) do
        local close = untold and CLOSE or 0
        if silence.since - close <= told and (silence.till == nil or told <= silence.till) then
            told, untold = silence.till or now, true
        end
    end
    return told
end

-- One row for all the reads that came while the one before was written.
local function write_barriers()
    fiber.name('barrier')
    while true do
        while reads == nil do
            asked:wait()
        end
        local batch = reads
        reads = nil
        pcall(function()
            box.space.heartbeat:replace({ BARRIER, heard })
            batch.lsn = box.info.lsn
        end)
        batch.written:broadcast()
    end
end

-- Returns when what was written holds; an error says that nobody knows whether it does. `now` is the caller's, if any.
function M.await_write(now)
    if M.copies > 0 then
        insist(await(box.info.lsn), now)
    end
end

-- Returns when this node led later than the read.
function M.await_read(now)
    if M.copies == 0 then
        return
    end
    reads = reads or { written = fiber.cond() }
    local batch = reads
    asked:signal()
    batch.written:wait(WAIT)
    insist(batch.lsn ~= nil and await(batch.lsn), now)
end

-- Begins as one of several nodes, which does not lead.
function M.join(replicas)
    M.copies = replicas
    M.leads = false
    fiber.create(follow_acknowledgements)
    fiber.create(write_barriers)
end

-- `succeeds` says that another term was before. What its writer had in flight when it ended may be here, and nobody was
-- told of it.
function M.lead(term, succeeds)
    acknowledged = 0
    silences = {}
    heard = 0
    local barrier = succeeds and box.space.heartbeat:get(BARRIER)
    if barrier and barrier.at > 0 then
        heard = barrier.at
        table.insert(silences, { since = heard - 1, latest = heard })
    end
    M.term = term
    M.leads = true
end

-- Whoever waits is told at once, and may ask the next writer.
function M.retire()
    M.leads = false
    progress:broadcast()
end

return M
