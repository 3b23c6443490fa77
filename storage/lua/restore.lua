-- Replays write-ahead logs, oldest first, on the checkpoint that is loaded, and writes a checkpoint of the result.
-- `order.before` is the moment (Unix seconds and parts of one) of the first transaction that is left out. `order.node`
-- is the node that the files are for, if it is not a server's private store: its name, those of all, the passwords.
local fio = require('fio')
local uuid = require('uuid')
local xlog = require('xlog')

local logs, order = ...

local vclock = table.copy(box.info.vclock)

-- No row is missing between the checkpoint and the last one that is replayed.
local function follows(header)
    if (header.replica_id or 0) == 0 then
        -- Of the node's own, as a promise is; nothing of the store's.
        return false
    end
    local lsn = vclock[header.replica_id] or 0
    if header.lsn <= lsn then
        return false
    end
    if header.lsn > lsn + 1 then
        error(('the backup has a gap: rows %d to %d of node %d are missing'):format(
            lsn + 1, header.lsn - 1, header.replica_id
        ), 0)
    end
    vclock[header.replica_id] = header.lsn
    return true
end

local REPLAY = {
    INSERT = function(space, body) space:insert(body.tuple) end,
    REPLACE = function(space, body) space:replace(body.tuple) end,
    DELETE = function(space, body) space:delete(body.key) end,
    UPDATE = function(space, body) space:update(body.key, body.tuple) end,
    UPSERT = function(space, body) space:upsert(body.tuple, body.operations) end,
    NOP = function() end,
}

local function replay(transaction)
    box.begin()
    for _, row in ipairs(transaction) do
        REPLAY[row.HEADER.type](box.space[row.BODY.space_id], row.BODY)
    end
    box.commit()
end

-- Returns how many rows were replayed.
local function replay_all()
    local count, transaction = 0, {}
    for _, path in ipairs(logs) do
        for _, row in xlog.pairs(path) do
            local header = row.HEADER
            if header.timestamp >= order.before then
                return count
            end
            if follows(header) then
                table.insert(transaction, row)
                -- A transaction of one row has no `tsn`.
                if header.tsn == nil or header.commit then
                    replay(transaction)
                    count = count + #transaction
                    transaction = {}
                end
            end
        end
    end
    return count
end

local replayed = order.before ~= nil and replay_all() or 0
require('audit_trail').record('store_restored', order.now, {
    by = order.by, reason = order.reason, detail = { history = order.history, before = order.before },
})

-- Gives the files to the node, whosever they were.
local function hand_over(node)
    local leadership = require('leadership')
    leadership.introduce(node.nodes)
    if #node.nodes > 1 and box.space.leadership == nil then
        leadership.found(node.nodes)
    end
    box.schema.user.passwd('idp', node.server_password)
    box.schema.user.passwd('owner', node.owner_password)
end

-- A checkpoint names its node in its head, which is plain text.
local function sign(path, identifier)
    local file = assert(fio.open(path, { 'O_RDWR' }))
    local _, before = assert(file:pread(1024, 0):find('\nInstance: '))
    assert(file:pwrite(identifier, before))
    assert(file:fsync())
    file:close()
end

require('server').upgrade()
if order.node ~= nil then
    hand_over(order.node)
end
if box.space.leadership ~= nil then
    -- One of several nodes: the promotions of before are nobody's history now, and the others join this one anew.
    for _, row in box.space.leadership:pairs() do
        box.space.leadership:delete(row.term)
    end
    box.space.leadership:insert({ 0, '', setmetatable({}, { __serialize = 'map' }) })
    box.space.promise:delete(1)
end
-- From here on it writes another history than the store that was backed up, under the same row numbers.
box.space._schema:replace({ 'history', uuid.str() })
box.snapshot()
if order.node ~= nil then
    local checkpoints = fio.glob(fio.pathjoin(box.cfg.memtx_dir, '*.snap'))
    table.sort(checkpoints)
    sign(checkpoints[#checkpoints], require('identifier')(order.node.name))
end
return replayed
