local rows = require('rows')
local audit_trail = require('audit_trail')
local customers = require('customers')
local e164 = require('e164')
local revocations = require('revocations')

local M = {}

function M.customer_read(args)
    local customer = box.space.customer:get(args.sub)
    if customer == nil then
        return { type = 'unknown' }
    end
    return { type = 'customer', customer = customers.describe(customer) }
end

local function describe_block(block)
    return { at = block.at, by = block.by, reason = block.reason, lifted_at = rows.plain(block.lifted_at) }
end

-- A customer by phone or `sub`, as the security team sees them.
function M.customer_find(args)
    local customer
    if args.phone ~= nil then
        customer = customers.by_phone(e164.pack(args.phone))
    else
        customer = box.space.customer:get(args.sub)
    end
    if customer == nil then
        return { type = 'unknown' }
    end
    local block = box.space.block:get(customer.sub)
    return {
        type = 'account', sub = customer.sub, phone = e164.unpack(customer.phone),
        created_at = customer.created_at, phone_verified_at = customer.phone_verified_at,
        last_sign_in = customer.last_sign_in, terms_accepted_at = customer.terms_accepted_at,
        test = customer.test, block = block ~= nil and describe_block(block) or nil,
    }
end

-- Nobody signs in as this customer until the block is lifted, and what they had until now has ended for ever.
function M.customer_block(args)
    if box.space.customer:get(args.sub) == nil then
        return { type = 'unknown' }
    end
    local block = box.space.block:get(args.sub)
    if block ~= nil and block.lifted_at == nil then
        if block.at == args.now and block.by == args.by and block.reason == args.reason then
            return { type = 'blocked' }
        end
        return { type = 'already_blocked', block = describe_block(block) }
    end
    rows.replace(box.space.block, { sub = args.sub, at = args.now, by = args.by, reason = args.reason })
    revocations.add({
        target = 'customer', target_id = args.sub, revocation_id = args.revocation_id, since = 0,
    })
    audit_trail.record('customer_blocked', args.now, { sub = args.sub, by = args.by, reason = args.reason })
    return { type = 'blocked' }
end

function M.customer_unblock(args)
    local block = box.space.block:get(args.sub)
    if block == nil then
        return { type = box.space.customer:get(args.sub) ~= nil and 'not_blocked' or 'unknown' }
    end
    if block.lifted_at ~= nil then
        return { type = block.lifted_at == args.now and 'unblocked' or 'not_blocked' }
    end
    box.space.block:update(args.sub, { { '=', 'lifted_at', args.now } })
    audit_trail.record('customer_unblocked', args.now, { sub = args.sub, by = args.by, reason = args.reason })
    return { type = 'unblocked' }
end

return M
