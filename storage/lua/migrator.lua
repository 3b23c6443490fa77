-- Applies migrations in their order, each whole and once.
--
-- A migration is a file that returns `name`, `up` and, where many rows have to change, `backfill` (backfill.lua). Its
-- `up` and its row here are one transaction, so that a process killed in between finds the step undone or done. In such
-- a transaction Tarantool lets one statement yield, the first: a file that builds an index of a big space, or formats
-- one anew, does this alone. Sent whole to a running store by `idp store migrate`, so it needs no other module.
local digest = require('digest')

local M = {}

local FORMAT = {
    { name = 'version', type = 'unsigned' },
    { name = 'name', type = 'string' },
    { name = 'applied_at', type = 'unsigned' },
    { name = 'checksum', type = 'string', is_nullable = true },
    -- Where the backfill goes on; null where there is none, or nothing is left of it.
    { name = 'cursor', type = 'array', is_nullable = true },
}

-- SHA-256 of a file's text, whatever its line endings and the blanks at the ends of its lines.
local function checksum(text)
    local lines = text:gsub('\r\n', '\n'):gsub('[ \t]+\n', '\n'):gsub('%s+$', '')
    return digest.sha256_hex(lines)
end

-- Gives each step the text of the file that it came from.
function M.read_texts(steps)
    for _, step in ipairs(steps) do
        local file = assert(io.open(debug.getinfo(step.up, 'S').source:sub(2)))
        step.text = file:read('*a')
        file:close()
    end
end

local function create_ledger()
    box.begin()
    local ok, reason = pcall(function()
        box.schema.space.create('schema_version', { format = FORMAT }):create_index('primary')
    end)
    if not ok then
        box.rollback()
        error(reason, 0)
    end
    box.commit()
end

local function ledger()
    local space = box.space.schema_version
    if space == nil then
        create_ledger()
    elseif #space:format() < #FORMAT then
        -- A store of before there were checksums.
        space:format(FORMAT)
    end
    return box.space.schema_version
end

-- Raises an error unless the applied steps are the first ones of `steps`. Returns how many are applied.
local function compare(steps, applied)
    for _, row in ipairs(applied) do
        local step = steps[row.version]
        if step == nil then
            error(('the store has schema version %d, this server knows only %d'):format(row.version, #steps), 0)
        end
        if row.name ~= step.name then
            error(('migration %d of the store is %s, of this server %s'):format(row.version, row.name, step.name), 0)
        end
        if row.checksum ~= nil and row.checksum ~= checksum(step.text) then
            error((
                'migration %s was edited after this store had applied it: undo that, and put the change into a new file'
            ):format(step.name), 0)
        end
    end
    return #applied
end

local function transaction(step, work)
    box.begin()
    local ok, reason = pcall(work)
    if not ok then
        box.rollback()
        error(('migration %s failed: %s'):format(step.name, tostring(reason)), 0)
    end
    box.commit()
end

local function apply(space, version, step, note)
    transaction(step, function()
        step.up()
        space:insert({
            version, step.name, os.time(), checksum(step.text), step.backfill ~= nil and {} or box.NULL,
        })
        if note ~= nil then
            note(step)
        end
    end)
end

-- Does `work` unless a migration is under way in this process, by whichever version's text: so it is noted where
-- all of them look.
function M.alone(work)
    local other = package.loaded.migration
    if other ~= nil then
        error(('another migration runs, since %s: wait until it has ended'):format(
            os.date('!%Y-%m-%dT%H:%M:%SZ', other.since)
        ), 0)
    end
    package.loaded.migration = { since = os.time() }
    local ok, result = pcall(work)
    package.loaded.migration = nil
    if not ok then
        error(result, 0)
    end
    return result
end

-- Brings the store to the last of `steps`, each `{ name, up, text, backfill }`, and calls `note` in each transaction.
-- Returns the names of those it applied.
function M.apply(steps, note)
    local space = ledger()
    local applied = space:select()
    local from = compare(steps, applied)
    for _, row in ipairs(applied) do
        if row.checksum == nil then
            space:update(row.version, { { '=', 'checksum', checksum(steps[row.version].text) } })
        end
    end
    local names = {}
    for version = from + 1, #steps do
        apply(space, version, steps[version], note)
        table.insert(names, steps[version].name)
    end
    return names
end

-- The names of what `apply` would do. Raises as it does, and writes nothing.
function M.pending(steps)
    local applied = box.space.schema_version ~= nil and box.space.schema_version:select() or {}
    local names = {}
    for version = compare(steps, applied) + 1, #steps do
        table.insert(names, steps[version].name)
    end
    return names
end

return M
