-- Boots a Tarantool of its own, alone or as one of several, which a service manager starts and keeps alive.
--
--     tarantool node.lua          serve
--     tarantool node.lua found    make the first files of several nodes in an empty place, and end
--
-- All comes from the environment: see conf/store.env.
local fiber = require('fiber')
local fio = require('fio')

-- What the node writes is its user's alone.
fio.umask(tonumber('077', 8))

local here = debug.getinfo(1, 'S').source:match('^@(.*)/[^/]*$')
package.path = here .. '/?.lua;' .. package.path

local identifier = require('identifier')
local server = require('server')

local function setting(name)
    local value = os.getenv(name)
    if value == nil or value == '' then
        error(name .. ' is not set', 0)
    end
    return value
end

local directory = setting('IDP_STORE_DIRECTORY')
local name = setting('IDP_STORE_NAME')
local passwords = {
    server_password = setting('IDP_STORE_PASSWORD'),
    owner_password = setting('IDP_OWNER_PASSWORD'),
}
local addresses, order, uris = {}, {}, {}
for peer, address in setting('IDP_STORE_NODES'):gmatch('([^=,%s]+)=([^=,%s]+)') do
    table.insert(order, peer)
    addresses[peer] = address
    uris[peer] = ('owner:%s@%s'):format(passwords.owner_password, address)
end
if not passwords.owner_password:match('^[%w_-]+$') then
    error('IDP_OWNER_PASSWORD stands in URIs: letters, digits, - and _ only', 0)
end
if addresses[name] == nil then
    error('IDP_STORE_NODES does not name ' .. name, 0)
end
local founding, single = arg[1] == 'found', #order == 1
local marker = fio.pathjoin(directory, 'rejoin')

local function files()
    local found = {}
    for _, pattern in ipairs({ '*.snap', '*.xlog', '*.inprogress' }) do
        for _, path in ipairs(fio.glob(fio.pathjoin(directory, pattern))) do
            table.insert(found, path)
        end
    end
    return found
end

-- What the last run was told by `rejoin`: its promise, which outlives its files.
local function set_aside()
    local file = io.open(marker)
    if file == nil then
        return nil
    end
    local promised = tonumber(file:read('*a'))
    file:close()
    local aside = fio.pathjoin(directory, os.date('!aside-%Y%m%dT%H%M%SZ'))
    assert(fio.mktree(aside))
    for _, path in ipairs(files()) do
        assert(fio.rename(path, fio.pathjoin(aside, fio.basename(path))))
    end
    return promised
end

local options = {
    work_dir = directory,
    instance_uuid = identifier(name),
    memtx_memory = tonumber(os.getenv('IDP_STORE_MEMORY')) or 256 * 1024 * 1024,
    wal_mode = 'write',
    checkpoint_interval = 3600,
    checkpoint_count = 2,
    readahead = 1024 * 1024,
    -- A lost node is noticed after four times this.
    replication_timeout = 0.5,
    -- Who follows is decided in leadership.lua; no node waits for others in order to start.
    replication_connect_quorum = 0,
    replication_connect_timeout = 1,
    log_level = 'warn',
}
for key, value in pairs(server.options()) do
    options[key] = value
end

-- The first start of a node that is not the founder, and the return of one that has set its files aside.
local function join(promised)
    local peers = require('peers')
    while true do
        for _, peer in ipairs(order) do
            local state = peer ~= name and peers.ask(uris[peer])
            if state and (state.history == 0 or state.leads) and state.history >= promised then
                options.read_only = true
                options.replicaset_uuid = state.replicaset
                options.replication = { uris[peer] }
                options.replication_connect_quorum = 1
                box.cfg(options)
                box.cfg({ replication = {}, replication_connect_quorum = 0 })
                return
            end
        end
        fiber.sleep(0.2)
    end
end

local function boot()
    local promised = set_aside()
    if #files() > 0 then
        if founding then
            error(directory .. ' holds data already', 0)
        end
        options.read_only = not single
        box.cfg(options)
    elseif single or founding then
        box.cfg(options)
    else
        join(promised or 0)
    end
    return promised
end

local function listen()
    -- The socket answers as soon as it exists: it must not exist before the procedures do.
    box.cfg({ listen = os.getenv('IDP_STORE_LISTEN') or addresses[name] })
end

local function rejoin()
    local leadership = require('leadership')
    local state = leadership.state()
    if state.leads then
        error(name .. ' is the one that leads', 0)
    end
    -- Whole or not at all: a node that sets its files aside forgets what it promised.
    local file = assert(io.open(marker .. '.part', 'w'))
    assert(file:write(tostring(state.promised)))
    assert(file:close())
    assert(fio.rename(marker .. '.part', marker))
    -- The caller hears of it first.
    fiber.create(function()
        fiber.sleep(0.1)
        os.exit(0)
    end)
    return state
end

local function serve_as_one_of_several(promised)
    local leadership = require('leadership')
    require('migrations').check()
    require('replication').join(math.floor(#order / 2))
    require('install').procedures()
    leadership.start(name, uris, promised)
    fio.unlink(marker)
    rawset(_G, 'node', {
        state = leadership.state,
        fence = leadership.fence,
        lead = leadership.lead,
        confirm = leadership.confirm,
        note_rejoin = leadership.note_rejoin,
        rejoin = rejoin,
        suspect = leadership.suspect,
        report = require('report').report,
    })
    listen()
    require('peers').listen(name, uris, leadership.hear)
end

local promised = boot()
if founding then
    require('install').all(passwords)
    require('leadership').found(order)
    box.snapshot()
    os.exit(0)
elseif single then
    require('install').all(passwords)
    rawset(_G, 'node', { report = require('report').report })
    listen()
else
    serve_as_one_of_several(promised)
end
