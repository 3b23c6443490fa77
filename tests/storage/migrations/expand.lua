-- What a later version may add while the one before it goes on: a space, a field that may be absent, its index.
local function up()
    local format = box.space.customer:format()
    table.insert(format, { name = 'nickname', type = 'string', is_nullable = true })
    box.space.customer:format(format)
    box.schema.space.create('card', { format = { { name = 'number', type = 'unsigned' } } }):create_index('primary')
end

return { name = 'expand', up = up }
