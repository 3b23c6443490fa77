-- Changes many rows after a migration, a small batch at a time, while requests are answered.
--
-- A migration's `backfill(after, limit)` changes up to `limit` rows that follow `after` (an array: empty at first, else
-- what the call before it returned) and returns the key of the last one, or nil where there are no more. A row may have
-- been changed already: the procedures of the version that brought the migration write the new form from the start.
-- Where it has come to stands in the migration's row, in the transaction of the batch.
local fiber = require('fiber')
local log = require('log')
local tx = require('tx')

local M = {}

local BATCH = 100 -- rows; well below a millisecond
local PAUSE = 0.01 -- seconds between two batches, so that requests come between
local PATIENCE = 1 -- seconds; after a batch that failed, or for a node that does not write

local running = false

local function batch_of(version, step)
    return tx.procedure(function()
        local cursor = box.space.schema_version:get(version).cursor
        if cursor == nil then
            return false
        end
        local last = step.backfill(cursor, BATCH)
        box.space.schema_version:update(version, { { '=', 'cursor', last or box.NULL } })
        return last ~= nil
    end)
end

-- Makes one batch, or waits where that cannot be. Returns whether there is more to do.
local function next_batch(step, batch)
    if box.info.ro then
        fiber.sleep(PATIENCE)
        return true
    end
    local ok, answer = pcall(batch)
    if not ok then
        log.warn('the backfill of migration %s waits: %s', step.name, tostring(answer))
    end
    fiber.sleep(ok and PAUSE or PATIENCE)
    return not ok or answer
end

-- Returns when no step has anything left to change.
function M.run(steps)
    for version, step in ipairs(steps) do
        if step.backfill ~= nil then
            local batch = batch_of(version, step)
            while next_batch(step, batch) do end
        end
    end
end

-- A node that leads anew goes on with what it, or another one, had begun.
function M.start(steps)
    if running then
        return
    end
    running = true
    fiber.create(function()
        fiber.name('backfill')
        M.run(steps)
        running = false
    end)
end

return M
