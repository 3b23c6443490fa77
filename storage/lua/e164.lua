-- A phone is E.164 text outside and its digits as a number inside: 9 bytes instead of 13.
local M = {}

function M.pack(text)
    return tonumber(text:sub(2))
end

function M.unpack(number)
    return number ~= nil and ('+%d'):format(tonumber(number)) or nil
end

return M
