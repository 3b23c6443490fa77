-- One protocol step = one procedure = one transaction, and an answer that waits for what it saw.
--
-- Tarantool shows other fibers a row before it is in the write-ahead log, and takes it back when the log
-- fails. An answer decided from such a row would acknowledge a write that may never have happened, so an
-- answer leaves only when every write that was in flight when it was decided is logged, and where there are
-- replicas, when they have it too (replication.lua).
local fiber = require('fiber')
local replication = require('replication')

local M = {}

local wrote = false -- whether the transaction at hand changed a row
local issued = 0 -- tickets given to writing transactions, in the order of the log
local decided = 0 -- the last ticket that the log has taken or refused
local failures = 0 -- how often the log has failed
local settled = fiber.cond()

local function note_write()
    wrote = true
end

local function is_watched(space)
    for _, trigger in ipairs(space:on_replace()) do
        if trigger == note_write then
            return true
        end
    end
    return false
end

-- Called once all spaces exist: knows about every write without any procedure having to say so.
function M.watch_writes()
    for _, row in box.space._space:pairs({ 512 }, { iterator = 'GE' }) do
        local space = box.space[row.name]
        if not is_watched(space) then
            space:on_replace(note_write)
        end
    end
end

local function commit_write()
    issued = issued + 1
    local ticket = issued
    local ok, reason = pcall(box.commit)
    decided = math.max(decided, ticket)
    if not ok then
        failures = failures + 1
    end
    settled:broadcast()
    if not ok then
        box.rollback()
        error(reason, 0)
    end
end

local function wait_for_what_was_seen()
    local seen, failures_before = issued, failures
    box.commit()
    while decided < seen do
        settled:wait()
    end
    if failures ~= failures_before then
        box.error({ code = box.error.WAL_IO, reason = 'a write that this answer saw was taken back' })
    end
end

-- `decide` must not yield: a yield aborts the transaction and the call fails.
function M.procedure(decide)
    return function(args)
        if not replication.leads then
            box.error(box.error.READONLY)
        end
        local now = args ~= nil and args.now or nil
        wrote = false
        box.begin()
        local ok, answer = pcall(decide, args)
        if not ok then
            box.rollback()
            error(answer, 0)
        end
        if wrote then
            commit_write()
            replication.await_write(now)
        else
            wait_for_what_was_seen()
            replication.await_read(now)
        end
        return answer
    end
end

return M
