-- Whether a provider has taken, or perhaps taken, a message of a journey: what it was counted as stays (sending.lua).
local function up()
    local sent_code = box.space.sent_code:format()
    table.insert(sent_code, { name = 'taken', type = 'boolean', is_nullable = true })
    box.space.sent_code:format(sent_code)
end

return { name = '0004_taken', up = up }
