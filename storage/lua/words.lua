-- Words that stand in tens of millions of rows, and the one byte in their place there.
--
-- A text of other words stays as it is, and so is a row of before understood. RFC 6749 3.3 keeps control characters out
-- of a scope; `acr` and `amr` are the server's own. A byte that has been given away keeps its meaning for ever.
local M = {}

local WORDS = {
    'openid', 'profile', 'phone', 'email', 'address', 'offline_access', 'otp', 'sms', 'urn:x5id:acr:phone-otp',
}

local BYTES = {}
for number, word in ipairs(WORDS) do
    BYTES[word] = string.char(number)
end

-- The same text in fewer bytes; one that is packed already stays.
function M.pack(text)
    return (text:gsub('%S+', BYTES):gsub(' ([\1-\31])', '%1'))
end

local function spelled(byte)
    return ' ' .. WORDS[byte:byte()]
end

function M.unpack(packed)
    local text, known = packed:gsub('[\1-\31]', spelled)
    return known > 0 and packed:byte() < 32 and text:sub(2) or text
end

return M
