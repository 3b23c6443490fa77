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

-- The methods by which Lua changes rows. Each returns the row, or nil where there was none to change; but `upsert`
-- changes one always and returns nothing.
local WRITES = {
    space_mt = { 'insert', 'put', 'replace', 'update', 'delete', 'upsert' },
    memtx_index_mt = { 'update', 'delete' },
}
local is_watching = false

local function watched(name, write)
    return function(...)
        local row = write(...)
        wrote = wrote or row ~= nil or name == 'upsert'
        return row
    end
end

-- Knows from now on about every write to any space without any procedure having to say so. Triggers would as well, for
-- a seventh of all that a sign-in takes: each is given two tuples.
function M.watch_writes()
    if is_watching then
        return
    end
    is_watching = true
    for kind, names in pairs(WRITES) do
        local methods = box.schema[kind]
        for _, name in ipairs(names) do
            methods[name] = watched(name, methods[name])
        end
    end
    -- Nothing promises that these are the methods of every version: a write that is not seen would not be waited for.
    local space = box.space._schema
    for kind, object in pairs({ space_mt = space, memtx_index_mt = space.index[0] }) do
        for _, name in ipairs(WRITES[kind]) do
            assert(object[name] == box.schema[kind][name], 'the writes of this Tarantool cannot be seen')
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
