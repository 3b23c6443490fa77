local customers = require('customers')

local M = {}

function M.customer_read(args)
    local customer = box.space.customer:get(args.sub)
    if customer == nil then
        return { type = 'unknown' }
    end
    return { type = 'customer', customer = customers.describe(customer) }
end

return M
