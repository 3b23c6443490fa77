-- What a later version brings to a store in use: a field that may be absent, and what fills it in.
local function up()
    local format = box.space.customer:format()
    table.insert(format, { name = 'nickname', type = 'string', is_nullable = true })
    box.space.customer:format(format)
end

local function backfill(after, limit)
    local batch = box.space.customer:select(after, { iterator = 'GT', limit = limit })
    for _, customer in ipairs(batch) do
        box.space.customer:update(customer.sub, { { '=', 'nickname', 'n' } })
    end
    return #batch == limit and { batch[#batch].sub } or nil
end

return { name = '9999_later', up = up, backfill = backfill }
