-- Who leads among several nodes, and who follows. Each promotion has a term, greater than all before it.
--
-- `promise` is this node's own: the greatest term that it was fenced for. It follows nobody of a lesser term, so once a
-- majority has promised, the writer before cannot have anything acknowledged any more. `leadership` is replicated: the
-- first row that a new writer writes, so that a node's last row there tells whose history it holds.
local clock = require('clock')
local fiber = require('fiber')
local audit_trail = require('audit_trail')
local identifier = require('identifier')
local replication = require('replication')
local install = require('install')
local server = require('server')

local M = {
    outdated = false, -- holds rows that the writer does not know, or may: it must join anew
    following = nil, -- the name of the node whose rows it takes
}

local WAIT = 5 -- seconds that a new writer has to be followed
local REMEMBERED = 16 -- promotions that a node may have missed and yet follow
local FRESH = 3 -- seconds that a watcher's suspicion counts
local HEARD = 1 -- seconds that another node's word counts, which comes several times in each

local self, nodes -- this node's name; the URI of each by name
local beginning = false -- is about to lead: it may have to bring the store to its version first
local judged -- the term of the writer that was last decided about
local suspicions = {} -- when each watcher last found no leader
local heard = {} -- the last word of each other node: what it `promised`, whom it is `following`, and `at` which time
local latch = fiber.channel(1)

local function alone(work)
    return function(...)
        latch:put(true)
        local ok, result = pcall(work, ...)
        latch:get()
        if not ok then
            error(result, 0)
        end
        return result
    end
end

local function last()
    return box.space.leadership.index.primary:max()
end

local function promised()
    local row = box.space.promise:get(1)
    return row ~= nil and row.term or 0
end

-- What the node holds of each node's rows, by number; a row of its own alone (0) is nobody's business.
local function holdings()
    local vclock = {}
    for number, lsn in pairs(box.info.vclock) do
        if number ~= 0 then
            vclock[tostring(number)] = lsn
        end
    end
    return vclock
end

local function is_within(vclock, limit)
    for number, lsn in pairs(vclock) do
        if lsn > (limit[number] or 0) then
            return false
        end
    end
    return true
end

-- The latest promotions that this node knows of, the last one first, and what the new writer held at each.
function M.terms()
    local terms = {}
    for _, row in box.space.leadership:pairs({}, { iterator = 'REQ' }) do
        table.insert(terms, { term = row.term, began = row.vclock })
        if #terms == REMEMBERED then
            break
        end
    end
    return terms
end

function M.state()
    local row, rows = last(), 0
    for _, lsn in pairs(holdings()) do
        rows = rows + lsn
    end
    return {
        name = self,
        replicaset = server.replicaset(),
        leads = replication.leads,
        begins = beginning,
        promised = promised(),
        history = row.term,
        terms = M.terms(),
        vclock = holdings(),
        rows = rows,
        following = M.following,
        outdated = M.outdated,
    }
end

local function stop()
    replication.retire()
    M.following, judged = nil, nil
    box.cfg({ read_only = true, replication = {} })
end

local function promise(term)
    stop()
    -- Comes after all that is on its way to the log, so that the state which is told afterwards is the last.
    box.space.promise:replace({ 1, term })
end

-- Promises to follow nobody of a lesser term; each term is promised once.
M.fence = alone(function(term)
    if term <= promised() then
        error(('%s has promised term %d already'):format(self, promised()), 0)
    end
    promise(term)
    return M.state()
end)

local function take_over(term, by, reason)
    local began, before = holdings(), last().term
    box.cfg({ read_only = false })
    box.begin()
    box.space.leadership:insert({ term, self, began })
    audit_trail.record('node_promoted', math.floor(fiber.time()), {
        by = by, reason = reason, detail = { node = self, term = term },
    })
    box.commit()
    M.outdated = false
    install.upgrade()
    replication.lead(term, before > 0)
end

local begin = alone(function(term, by, reason)
    if term ~= promised() or term <= last().term then
        error(('%s was not fenced for term %d'):format(self, term), 0)
    end
    local ok, why = pcall(take_over, term, by, reason)
    if not ok then
        box.rollback()
        stop()
        error(why, 0)
    end
end)

-- Takes writes from now on. A majority must have been fenced for this term, and this one hold most among them.
function M.lead(term, by, reason)
    beginning = true
    local ok, why = pcall(begin, term, by, reason)
    beginning = false
    if not ok then
        error(why, 0)
    end
    local deadline = clock.monotonic() + WAIT
    while not pcall(replication.await_write) and clock.monotonic() < deadline do
        fiber.sleep(0.01)
    end
    return M.state()
end

-- Whether enough of the others are in touch, and bound to nobody later, to take what this node writes.
local function is_backed()
    local backing, present = 0, clock.monotonic()
    for _, word in pairs(heard) do
        if present - word.at < HEARD and word.promised <= promised() and (beginning or word.following == self) then
            backing = backing + 1
        end
    end
    return backing >= replication.copies
end

-- Returns when a majority has acknowledged that this node leads, or is about to; an error says that it does not, or
-- that nobody knows. While a migration runs, the others build what it has built, and acknowledge nothing: that they are
-- in touch must do.
function M.confirm()
    if not replication.leads and not beginning then
        box.error(box.error.READONLY)
    end
    if not beginning and package.loaded.migration == nil then
        replication.await_read()
    elseif not is_backed() then
        error(self .. ' does not hear from a majority', 0)
    end
    return M.state()
end

-- Notes in the audit trail that a node is told to join anew.
function M.note_rejoin(name, by, reason)
    box.begin()
    audit_trail.record('node_rejoins', math.floor(fiber.time()), {
        by = by, reason = reason, detail = { node = name },
    })
    box.commit()
    replication.await_write()
    return M.state()
end

-- Watchers that find no leader. Returns all who have said so just now, `watcher` among them.
function M.suspect(watcher)
    local names, present = {}, clock.monotonic()
    suspicions[watcher] = present
    for name, at in pairs(suspicions) do
        if present - at < FRESH then
            table.insert(names, name)
        end
    end
    return names
end

-- A node may follow if all that it holds is in the writer's history: if the writer of the term after this node's
-- last one began with as much.
local function fits(writer)
    local history, later = last().term, nil
    for _, entry in ipairs(writer.terms) do
        if entry.term == history then
            return later == nil or is_within(holdings(), later.began)
        end
        later = entry
    end
    return false
end

-- Tarantool gives up following when the log, or memory, is full here; but that passes.
local function has_given_up()
    for _, peer in pairs(box.info.replication) do
        if peer.upstream ~= nil and peer.upstream.status == 'stopped' then
            return true
        end
    end
    return false
end

-- Learns from another node's state who leads.
local learn = alone(function(peer)
    if M.following == peer.name and has_given_up() then
        box.cfg({ replication = {} })
        box.cfg({ replication = { nodes[peer.name] } })
    end
    local decided = peer.history == judged or peer.history < promised()
    if not peer.leads or decided or replication.leads and peer.history <= replication.term then
        return
    end
    promise(peer.history)
    M.outdated = not fits(peer)
    if not M.outdated then
        box.cfg({ replication = { nodes[peer.name] } })
        M.following = peer.name
    end
    judged = peer.history
end)

function M.hear(peer)
    heard[peer.name] = { promised = peer.promised, following = peer.following, at = clock.monotonic() }
    -- Whoever begins is told of others for as long as that takes, and learns from it afterwards.
    if not beginning then
        learn(peer)
    end
end

-- Gives each node the number of its rows, unless it has one.
function M.introduce(names)
    local cluster = box.space._cluster
    for _, name in ipairs(names) do
        if cluster.index.uuid:get(identifier(name)) == nil then
            cluster:insert({ cluster.index.primary:max()[1] + 1, identifier(name) })
        end
    end
end

-- Where nodes of these names are to be, which have not led yet: what the first promotion needs.
function M.found(names)
    M.introduce(names)
    local leadership = box.schema.space.create('leadership', {
        format = {
            { name = 'term', type = 'unsigned' }, { name = 'name', type = 'string' },
            { name = 'vclock', type = 'map' },
        },
    })
    leadership:create_index('primary')
    leadership:insert({ 0, '', setmetatable({}, { __serialize = 'map' }) })
    local own = box.schema.space.create('promise', {
        is_local = true,
        format = { { name = 'id', type = 'unsigned' }, { name = 'term', type = 'unsigned' } },
    })
    own:create_index('primary')
end

-- `term` is what this node promised before its files were set aside, if it has.
function M.start(name, uris, term)
    self, nodes = name, uris
    if term ~= nil and term > promised() then
        box.space.promise:replace({ 1, term })
    end
end

return M
