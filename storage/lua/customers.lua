-- Customers: found by phone at sign-in, made by the first one.
local rows = require('rows')
local audit_trail = require('audit_trail')
local e164 = require('e164')
local letters = require('letters')

local M = {}

local function packed(name)
    return name ~= nil and letters.pack(name) or box.NULL
end

local function unpacked(name)
    return name ~= nil and letters.unpack(name) or nil
end

function M.by_phone(phone)
    return box.space.customer.index.phone:get(phone)
end

function M.create(profile, now)
    local customer = rows.insert(box.space.customer, {
        sub = profile.sub,
        phone = profile.phone,
        created_at = now,
        phone_verified_at = profile.phone_verified_at,
        last_sign_in = now,
        terms_accepted_at = profile.terms_accepted_at,
        test = profile.test,
        given_name = packed(profile.given_name),
        family_name = packed(profile.family_name),
    })
    audit_trail.record('registered', now, { sub = profile.sub, client_id = profile.client_id })
    return customer
end

function M.complete(customer, args)
    return box.space.customer:update(customer.sub, {
        { '=', 'terms_accepted_at', args.now }, { '=', 'given_name', packed(args.given_name) },
        { '=', 'family_name', packed(args.family_name) },
    })
end

function M.note_sign_in(customer, phone_verified_at, now)
    return box.space.customer:update(customer.sub, {
        { '=', 'phone_verified_at', phone_verified_at }, { '=', 'last_sign_in', now },
    })
end

function M.is_blocked(customer)
    local block = box.space.block:get(customer.sub)
    return block ~= nil and block.lifted_at == nil
end

-- A blocked customer has proven the phone and was turned away.
function M.note_refusal(customer, client_id, now)
    audit_trail.record('sign_in_refused', now, { sub = customer.sub, client_id = client_id })
end

function M.describe(customer)
    if customer == nil then
        return nil
    end
    return {
        sub = customer.sub,
        phone = e164.unpack(customer.phone),
        phone_verified_at = customer.phone_verified_at,
        created_at = customer.created_at,
        given_name = unpacked(customer.given_name),
        family_name = unpacked(customer.family_name),
        claims = rows.plain(customer.claims),
    }
end

return M
