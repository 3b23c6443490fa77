local function up()
    box.space.customer:create_index('nickname', {
        parts = { { 'nickname', is_nullable = true }, { 'sub' } }, unique = true,
    })
end

return { name = 'expand_index', up = up }
