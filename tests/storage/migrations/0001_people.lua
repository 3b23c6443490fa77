local function up()
    box.schema.space.create('person', {
        format = { { name = 'id', type = 'unsigned' }, { name = 'name', type = 'string' } },
    }):create_index('primary')
end

return { name = '0001_people', up = up }
