-- What the nodes tell each other: every node asks every other one how it stands, several times a second.
local fiber = require('fiber')
local net_box = require('net.box')

local M = {}

local PAUSE = 0.1 -- seconds
local PATIENCE = 1 -- seconds

-- The answer of a node to one question, or nil.
function M.ask(uri, connection)
    connection = connection or net_box.connect(uri, { connect_timeout = PATIENCE })
    local ok, state = pcall(connection.call, connection, 'node.state', {}, { timeout = PATIENCE })
    return ok and state or nil, connection
end

-- Tells `hear` of every answer of the other nodes, for ever.
function M.listen(name, uris, hear)
    for peer, uri in pairs(uris) do
        if peer ~= name then
            fiber.create(function()
                fiber.name('peer ' .. peer, { truncate = true })
                local connection = net_box.connect(uri, {
                    connect_timeout = PATIENCE, reconnect_after = PAUSE, wait_connected = false,
                })
                while true do
                    local state = M.ask(uri, connection)
                    if state ~= nil then
                        pcall(hear, state)
                    end
                    fiber.sleep(PAUSE)
                end
            end)
        end
    end
end

return M
