-- Brings a store to this version: migrations, users, procedures and their rights.
local backfill = require('backfill')
local tx = require('tx')
local migrations = require('migrations')
local replication = require('replication')
local server = require('server')

local M = {}

local CONTRACT = 'v1'

-- Percent of what lives that may be added before garbage is collected. Procedures leave much and keep little: the
-- usual 200 would save some ten megabytes, and take a fifth of their time.
local GARBAGE = 1000

-- Every module returns a table of procedures; a procedure takes one map and decides one answer.
local API = {
    require('api.audit'),
    require('api.auth_sessions'),
    require('api.authorization'),
    require('api.channels'),
    require('api.clients'),
    require('api.consents'),
    require('api.customers'),
    require('api.health'),
    require('api.interactions'),
    require('api.keys'),
    require('api.messages'),
    require('api.phone'),
    require('api.refresh'),
    require('api.registration'),
    require('api.secrets'),
    require('api.sending'),
    require('api.sessions'),
    require('api.sweep'),
    require('api.tokens'),
}

local function user(name, password)
    if box.schema.user.exists(name) then
        box.schema.user.passwd(name, password)
    else
        box.schema.user.create(name, { password = password })
    end
end

-- The role `public`, which everybody has, may run any Lua through SQL's function LUA().
local function take_back_common_rights()
    for _, name in ipairs({ 'guest', 'idp' }) do
        box.schema.user.revoke(name, 'execute', 'role', 'public', { if_exists = true })
    end
    box.schema.user.revoke('guest', 'session,usage', 'universe', nil, { if_exists = true })
end

local function register(name)
    local full = CONTRACT .. '.' .. name
    -- setuid: the caller needs no right on any space.
    box.schema.func.create(full, { setuid = true, if_not_exists = true })
    box.schema.user.grant('idp', 'execute', 'function', full, { if_not_exists = true })
end

-- By which a server finds the node that answers, among several. Every node answers it.
local function leads()
    return { leads = replication.leads, term = replication.term }
end

-- Defines the procedures in this process, which writes nothing; returns their names.
function M.procedures()
    collectgarbage('setpause', GARBAGE)
    local procedures, names = { leads = leads }, { 'leads' }
    for _, module in ipairs(API) do
        for name, decide in pairs(module) do
            assert(procedures[name] == nil, 'two procedures are named ' .. name)
            procedures[name] = tx.procedure(decide)
            table.insert(names, name)
        end
    end
    rawset(_G, CONTRACT, procedures)
    tx.watch_writes()
    return names
end

local function serve()
    for _, name in ipairs(M.procedures()) do
        register(name)
    end
    backfill.start(migrations.steps)
end

function M.all(options)
    server.upgrade()
    migrations.apply()
    user('idp', options.server_password)
    user('owner', options.owner_password)
    box.schema.user.grant('owner', 'super', nil, nil, { if_not_exists = true })
    take_back_common_rights()
    serve()
end

-- On one of several nodes, when it begins to write. What a later version has brought stays as it is, for nodes of two
-- versions may lead in turn.
function M.upgrade()
    if not migrations.are_outrun() then
        migrations.apply()
    end
    serve()
end

return M
