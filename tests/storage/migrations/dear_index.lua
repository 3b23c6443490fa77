local function up()
    box.space.person:create_index('dear', { func = 'dear_key', parts = { { 1, 'unsigned' } } })
end

return { name = 'dear_index', up = up }
