local function up()
    box.space.person:create_index('name', { parts = { 'name' }, unique = false })
end

return { name = '0002_people_by_name', up = up }
