-- Tarantool is LuaJIT with a database and some more fields in the standard tables.
std = 'luajit'
max_line_length = 120
globals = { 'box' }
read_globals = {
    'tonumber64',
    table = { fields = { 'copy', 'deepcopy' } },
    string = {
        fields = { 'endswith', 'fromhex', 'hex', 'lstrip', 'rstrip', 'split', 'startswith', 'strip' },
    },
}
