-- Names that stand in tens of millions of rows: a Russian letter is one byte there, where UTF-8 has two.
--
-- The bytes of the letters begin no character of UTF-8, so that what is packed is told from what is not: a name with
-- other letters stays as it is, and so is a row of before understood. A byte that has been given away keeps its meaning
-- for ever.
local utf8 = require('utf8')

local M = {}

local CHARACTER = '[\192-\247][\128-\191]*' -- of more than one byte
local LETTER = '[\128-\191\254\255]'

local bytes, letters = {}, {}

local function give(byte, code)
    bytes[utf8.char(code)] = string.char(byte)
    letters[string.char(byte)] = utf8.char(code)
end

-- From А to я; Ё and ё stand elsewhere.
for number = 0, 63 do
    give(128 + number, 0x410 + number)
end
give(254, 0x401)
give(255, 0x451)

local function is_packed(text)
    return not text:find('[\192-\247]')
end

-- The same text in fewer bytes, or as it is; one that is packed already stays.
function M.pack(text)
    local packed = text:gsub(CHARACTER, bytes)
    return is_packed(packed) and packed or text
end

function M.unpack(packed)
    return is_packed(packed) and packed:gsub(LETTER, letters) or packed
end

return M
