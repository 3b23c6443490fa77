-- Codes on their way to customers, and what their message providers said of them.
local function field(name, type)
    return { name = name, type = type }
end

local function optional(name, type)
    return { name = name, type = type, is_nullable = true }
end

local function up()
    -- `delivery` is how the newest message reaches the customer, or that it cannot. A flash call's code is of its
    -- provider's choice; it is a second code of the challenge.
    local challenge = box.space.challenge:format()
    for _, added in ipairs({
        optional('delivery', 'string'), optional('call_hash', 'string'), optional('call_tries', 'unsigned'),
    }) do
        table.insert(challenge, added)
    end
    box.space.challenge:format(challenge)

    -- One row per journey: its newest message, until nothing more is to be done for it. `step` counts the steps of the
    -- cascade from 1; what is due next happens at `due_at`. Neither the code nor the text is here.
    local outbox = box.schema.space.create('outbox', { format = {
        field('journey', 'string'), field('message_id', 'string'), field('challenge_id', 'string'),
        field('client_id', 'string'), field('locale', 'string'), field('step', 'unsigned'),
        field('state', 'string'), field('due_at', 'unsigned'), field('queued_at', 'unsigned'),
        field('expires_at', 'unsigned'), optional('claim', 'string'), optional('provider', 'string'),
    } })
    outbox:create_index('primary', { parts = { 'journey' } })
    outbox:create_index('due_at', { parts = { 'due_at' }, unique = false })
    outbox:create_index('claim', { parts = { { 'claim', is_nullable = true } }, unique = false })
    outbox:create_index('expires_at', { parts = { 'expires_at' }, unique = false })

    -- What a provider took, by its own name for it. A receipt that comes before the provider's answer has been noted
    -- makes a row without a journey.
    local submission = box.schema.space.create('submission', { format = {
        field('provider', 'string'), field('provider_id', 'string'), field('expires_at', 'unsigned'),
        optional('delivered', 'boolean'), optional('journey', 'string'), optional('message_id', 'string'),
        optional('client_id', 'string'), optional('step', 'unsigned'), optional('last', 'boolean'),
    } })
    submission:create_index('primary', { parts = { 'provider', 'provider_id' } })
    submission:create_index('expires_at', { parts = { 'expires_at' }, unique = false })
end

return { name = '0002_outbox', up = up }
