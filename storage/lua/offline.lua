-- Runs a program on the files of a store that nobody serves, and tells its answer as JSON.
local json = require('json')

local here = debug.getinfo(1, 'S').source:match('^@(.*)/[^/]*$')
package.path = here .. '/?.lua;' .. package.path

local order = json.decode(io.read('*a'))

local function run()
    local server = require('server')
    local options = server.options()
    options.work_dir = order.directory
    options.memtx_memory = order.memory_bytes
    options.wal_mode = order.writes and 'write' or 'none'
    options.checkpoint_interval = 0
    options.log_level = 'error'
    box.cfg(options)
    if order.writes then
        server.upgrade()
    end
    return assert(loadfile(order.program))(unpack(order.arguments))
end

local ok, answer = pcall(run)
io.write(json.encode({ [ok and 'answer' or 'error'] = ok and answer or tostring(answer) }), '\n')
io.flush()
os.exit(0)
