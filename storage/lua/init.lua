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

local options = require('server').options()
options.work_dir = directory
options.memtx_memory = tonumber(os.getenv('IDP_STORE_MEMORY'))
options.wal_mode = 'write'
options.checkpoint_interval = 3600
options.checkpoint_count = 2
options.readahead = 1024 * 1024
options.log_level = 'warn'
box.cfg(options)

require('install').all({
    server_password = os.getenv('IDP_STORE_PASSWORD'),
    owner_password = os.getenv('IDP_OWNER_PASSWORD'),
})

-- The socket answers as soon as it exists: it must not exist before the procedures do.
box.cfg({ listen = 'unix/:' .. socket })
