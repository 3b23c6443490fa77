-- Fills a store with rows that nobody would want to wait for over HTTP:
--     tarantool fill.lua customers|clients NUMBER FIRST
-- The store's socket is in STORE_SOCKET, its owner's password in OWNER_PASSWORD. FIRST is the digits of the first
-- customer's phone, or the client that the others are like.
local net_box = require('net.box')

local BATCH = 5000

local WHAT = {
    customers = [[
        local digest = require('digest')
        local first, from, to = ...
        local now = os.time()
        box.begin()
        for i = from, to do
            box.space.customer:insert(box.space.customer:frommap({
                sub = digest.base64_encode(digest.urandom(16), { urlsafe = true, nopad = true }),
                phone = tonumber(first) + i, created_at = now, phone_verified_at = now, last_sign_in = now,
                terms_accepted_at = now, test = true, given_name = 'Anna',
            }))
        end
        box.commit()
    ]],
    clients = [[
        local first, from, to = ...
        local like = box.space.client:get(first)
        box.begin()
        for i = from, to do
            box.space.client:insert(like:update({ { '=', 1, first .. '-' .. i } }))
        end
        box.commit()
    ]],
}

local what, number, first = ...
local owner = { user = 'owner', password = os.getenv('OWNER_PASSWORD') }
local store = net_box.connect('unix/:' .. os.getenv('STORE_SOCKET'), owner)
for from = 1, tonumber(number), BATCH do
    store:eval(WHAT[what], { first, from, math.min(from + BATCH - 1, tonumber(number)) })
end
os.exit(0)
