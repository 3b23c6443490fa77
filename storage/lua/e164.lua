-- A phone is E.164 text outside and its digits as a number inside: 9 bytes instead of 13.
local M = {}

function M.pack(text)
    assert(#text <= 16, 'more digits than E.164 has')
    return tonumber(text:sub(2))
end

-- For the audit trail: enough to recognise a number that is known, not enough to learn one.
function M.mask(number)
    local digits = ('%d'):format(tonumber(number))
    return '+' .. digits:sub(1, 4) .. ('*'):rep(#digits - 6) .. digits:sub(-2)
end

function M.unpack(number)
    return number ~= nil and ('+%d'):format(tonumber(number)) or nil
end

return M
