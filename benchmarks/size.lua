-- Fills a store without a server, tells what each row costs, and writes a checkpoint.
--
-- What identifies a row is derived from its number, so that whoever measures afterwards knows them all.
local clock = require('clock')
local digest = require('digest')
local families = require('families')
local grants = require('grants')
local letters = require('letters')
local migrations = require('migrations')
local rows = require('rows')
local words = require('words')

local order = ...

local NOW = order.now
local BATCH = 500
local GIVEN = {
    'Анна', 'Мария', 'Елена', 'Ольга', 'Наталья', 'Екатерина', 'Татьяна', 'Ирина', 'Светлана', 'Юлия',
    'Анастасия', 'Дарья', 'Ксения', 'Людмила', 'Александра', 'Александр', 'Сергей', 'Дмитрий', 'Андрей', 'Алексей',
    'Максим', 'Евгений', 'Иван', 'Михаил', 'Николай', 'Владимир', 'Артём', 'Никита', 'Константин', 'Вячеслав',
}
local WOMEN = 15 -- of them stand first
local FAMILY = {
    'Иванов', 'Смирнов', 'Кузнецов', 'Попов', 'Васильев', 'Петров', 'Соколов', 'Михайлов', 'Новиков', 'Фёдоров',
    'Морозов', 'Волков', 'Алексеев', 'Лебедев', 'Семёнов', 'Егоров', 'Павлов', 'Козлов', 'Степанов', 'Николаев',
    'Орлов', 'Андреев', 'Макаров', 'Никитин', 'Захаров', 'Зайцев', 'Соловьёв', 'Борисов', 'Яковлев', 'Григорьев',
    'Виноградов', 'Богданов', 'Воробьёв', 'Александров', 'Мухаметзянов', 'Красильников', 'Пономарёв', 'Гаврилов',
}

local function id(kind, number)
    return digest.base64_encode(digest.md5(kind .. number), { urlsafe = true, nopad = true, nowrap = true })
end

local function customer(number)
    local given, family = number % #GIVEN + 1, FAMILY[number * 7 % #FAMILY + 1]
    rows.insert(box.space.customer, {
        sub = id('sub', number), phone = 79000000000 + number * 10 + number % 7, created_at = NOW - number % 1000000,
        phone_verified_at = NOW, last_sign_in = NOW, terms_accepted_at = NOW, test = false,
        given_name = letters.pack(GIVEN[given]), family_name = letters.pack(given <= WOMEN and family .. 'а' or family),
    })
end

local function session(number)
    return {
        sid = id('sid', number), sub = id('sub', number), auth_time = NOW,
        acr = words.pack(order.acr), amr = words.pack(order.amr), created_at = NOW, seen_at = NOW,
        expires_at = NOW + order.lifetimes.session_idle + number % 1000, epoch = 0,
    }
end

local function put_session(number)
    rows.insert(box.space.session, session(number))
end

local function put_grant(number)
    local wanted = { client_id = 'verestovo-app', scope = 'openid profile phone', offline = false, refresh = true }
    local expires_at = NOW + order.lifetimes.refresh_absolute + number % 1000
    grants.open(id('grant', number), session(number), wanted, expires_at, NOW)
end

-- As it is after it has rotated.
local function put_family(number)
    local grant_id = id('grant', number)
    families.begin(grant_id, digest.sha256(grant_id), {
        attempt = id('attempt', number), now = NOW, lifetimes = order.lifetimes,
    })
    families.rotate(grant_id, {
        presented_hash = digest.sha256(grant_id), successor_hash = digest.sha256(grant_id .. '+'),
        attempt = id('again', number), now = NOW,
    }, NOW + order.lifetimes.refresh_idle + number % 1000)
end

local function fill(put, many)
    local before = box.slab.info().arena_used
    for first = 1, many, BATCH do
        box.begin()
        for number = first, math.min(first + BATCH - 1, many) do
            put(number)
        end
        box.commit()
    end
    return (box.slab.info().arena_used - before) / many
end

local function index_bytes(space)
    local bytes = 0
    for position, index in pairs(space.index) do
        if type(position) == 'number' then
            bytes = bytes + tonumber(index:bsize())
        end
    end
    return bytes
end

migrations.apply()
local stages = {
    { 'customer', customer, order.profiles }, { 'session', put_session, order.active },
    { 'grant', put_grant, order.active }, { 'refresh', put_family, order.active },
}
local spaces = {}
for _, stage in ipairs(stages) do
    local name, put, many = unpack(stage)
    if many > 0 then
        local began = clock.monotonic()
        local bytes = fill(put, many)
        spaces[name] = {
            rows = many, bytes_per_row = bytes, index_bytes_per_row = index_bytes(box.space[name]) / many,
            seconds = clock.monotonic() - began,
        }
    end
end
local began = clock.monotonic()
box.snapshot()
return {
    spaces = spaces, snapshot_s = clock.monotonic() - began, memory_bytes = tonumber(box.slab.info().arena_used),
}
