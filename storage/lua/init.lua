-- Boots the private Tarantool of one server. The parent process passes everything by environment.
local ffi = require('ffi')
local fiber = require('fiber')

ffi.cdef('int getppid(void);')

local directory = os.getenv('IDP_STORE_DIRECTORY')
local socket = os.getenv('IDP_STORE_SOCKET')
local parent = tonumber(os.getenv('IDP_PARENT_PID'))
local here = debug.getinfo(1, 'S').source:match('^@(.*)/[^/]*$')
package.path = here .. '/?.lua;' .. package.path

local function end_with_parent()
    fiber.name('parent-watch')
    while ffi.C.getppid() == parent do
        fiber.sleep(0.5)
    end
    os.exit(0)
end

if parent ~= nil then
    fiber.create(end_with_parent)
end

box.cfg({
    work_dir = directory,
    memtx_memory = tonumber(os.getenv('IDP_STORE_MEMORY')),
    wal_mode = 'write',
    checkpoint_interval = 3600,
    checkpoint_count = 2,
    readahead = 1024 * 1024,
    -- Tarantool would otherwise report its use to its vendor.
    feedback_enabled = false,
    log_level = 'warn',
})

require('install').all({
    server_password = os.getenv('IDP_STORE_PASSWORD'),
    owner_password = os.getenv('IDP_OWNER_PASSWORD'),
})

-- The socket answers as soon as it exists: it must not exist before the procedures do.
box.cfg({ listen = 'unix/:' .. socket })
