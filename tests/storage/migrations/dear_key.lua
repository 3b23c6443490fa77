-- A key that takes its time: what makes an index of few rows last as long as one of many millions.
local BODY = [[function(person)
    local sum = 0
    for number = 1, 60000 do sum = sum + number end
    return { person[1] }
end]]

local function up()
    box.schema.func.create('dear_key', { body = BODY, is_deterministic = true, is_sandboxed = true })
end

return { name = 'dear_key', up = up }
