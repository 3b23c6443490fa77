-- What keeps messages from being sent for somebody else's profit (sending.lua).
local function field(name, type)
    return { name = name, type = type }
end

local function optional(name, type)
    return { name = name, type = type, is_nullable = true }
end

local function space(name, format, ...)
    local created = box.schema.space.create(name, { format = format })
    for _, index in ipairs({ ... }) do
        created:create_index(index.name, { parts = index.parts, unique = index.unique })
    end
end

local function index(name, parts, unique)
    return { name = name, parts = parts, unique = unique or false }
end

local EXPIRY = index('expires_at', { 'expires_at' })

local function up()
    -- Messages against sign-ins of one prefix, network, address or client: counters that fade (conversion.lua).
    -- `held_until` and `blocked_until` are 0 where nothing holds it back; the one is ours, the other an operator's.
    space('conversion', {
        field('key', 'string'), field('level', 'string'), field('at', 'unsigned'),
        field('sent', 'number'), field('signed_in', 'number'), field('vouched', 'number'),
        field('strikes', 'unsigned'), field('refused', 'unsigned'),
        field('held_until', 'unsigned'), field('blocked_until', 'unsigned'), field('expires_at', 'unsigned'),
    }, index('primary', { 'key' }, true), index('level', { 'level', 'key' }, true),
        index('held_until', { 'held_until' }), index('blocked_until', { 'blocked_until' }), EXPIRY)

    -- The sending of a journey's code: what it was counted against, until the code is right or old.
    space('sent_code', {
        field('journey', 'string'), field('source', 'string'), field('prefix', 'string'),
        field('client_id', 'string'), field('stranger', 'boolean'), field('unproven', 'boolean'),
        field('counted', 'boolean'), field('held', 'boolean'), field('sends', 'unsigned'),
        field('wrong_burst', 'unsigned'), field('wrong_period', 'unsigned'), field('expires_at', 'unsigned'),
        optional('address', 'string'), optional('device', 'string'),
        optional('witness', 'string'),
    }, index('primary', { 'journey' }, true), EXPIRY)

    -- Proofs of work that were shown, and may not be again.
    space('spent_proof', {
        field('proof_id', 'string'), field('attempt', 'string'), field('expires_at', 'unsigned'),
    }, index('primary', { 'proof_id' }, true), EXPIRY)

    -- Messages of a day (UTC) for one client or by one provider.
    space('message_budget', {
        field('key', 'string'), field('day', 'unsigned'), field('spent', 'unsigned'), field('budget', 'unsigned'),
        field('expires_at', 'unsigned'),
    }, index('primary', { 'key' }, true), EXPIRY)
end

return { name = '0003_sending', up = up }
