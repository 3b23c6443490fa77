-- Times are Unix seconds. A `*_hash` is 32 bytes of SHA-256: a secret itself never reaches the store.
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

local function primary(...)
    return { name = 'primary', parts = { ... }, unique = true }
end

local function index(name, parts, unique)
    return { name = name, parts = parts, unique = unique or false }
end

local EXPIRY = index('expires_at', { 'expires_at' })

local function up()
    -- What workers keep in memory, and how often it has changed.
    space('revision', { field('name', 'string'), field('value', 'unsigned') }, primary('name'))

    space('heartbeat', { field('id', 'unsigned'), field('at', 'unsigned') }, primary('id'))

    space('channel', {
        field('channel_id', 'string'), field('document', 'string'), field('updated_at', 'unsigned'),
    }, primary('channel_id'))

    -- What was applied to channels and their clients, and for each of them the row before and after.
    space('channel_revision', {
        field('revision', 'unsigned'), field('at', 'unsigned'), field('by', 'string'), optional('reason', 'string'),
        field('forced', 'boolean'), optional('undoes', 'unsigned'), field('attempt', 'string'),
    }, primary('revision'))

    space('channel_change', {
        field('revision', 'unsigned'), field('position', 'unsigned'), field('kind', 'string'), field('id', 'string'),
        optional('before', 'map'), optional('after', 'map'),
    }, primary('revision', 'position'))

    space('client', {
        field('client_id', 'string'), field('channel_id', 'string'), field('source', 'string'),
        field('document', 'string'), field('updated_at', 'unsigned'),
    }, primary('client_id'), index('channel_id', { 'channel_id' }))

    -- What lets its holder register clients (RFC 7591 3); `policy` is the protocol layer's.
    space('initial_access_token', {
        field('token_id', 'string'), field('token_hash', 'string'), field('policy', 'string'),
        field('most_clients', 'unsigned'), field('registered', 'unsigned'), field('created_at', 'unsigned'),
        field('created_by', 'string'), field('expires_at', 'unsigned'), optional('revoked_at', 'unsigned'),
    }, primary('token_id'), index('token_hash', { 'token_hash' }, true), EXPIRY)

    -- The clients that were registered without one, so that they can be counted.
    space('open_client', { field('client_id', 'string') }, primary('client_id'))

    -- What a client has proven itself by, and may not again.
    space('client_assertion', {
        field('client_id', 'string'), field('jti_hash', 'string'), field('attempt', 'string'),
        field('expires_at', 'unsigned'),
    }, primary('client_id', 'jti_hash'), EXPIRY)

    -- `phone` is E.164 without its plus sign: a number takes 9 bytes, a string 13.
    -- `terms_accepted_at` is 0 until the customer has seen a page that asks.
    space('customer', {
        field('sub', 'string'), field('phone', 'unsigned'), field('created_at', 'unsigned'),
        field('phone_verified_at', 'unsigned'), field('last_sign_in', 'unsigned'),
        field('terms_accepted_at', 'unsigned'), field('test', 'boolean'),
        optional('given_name', 'string'), optional('family_name', 'string'), optional('claims', 'map'),
    }, primary('sub'), index('phone', { 'phone' }, true))

    -- The last block of a customer, lifted or not; a space of its own, because few have one.
    space('block', {
        field('sub', 'string'), field('at', 'unsigned'), field('by', 'string'), field('reason', 'string'),
        optional('lifted_at', 'unsigned'),
    }, primary('sub'))

    -- What ends grants and sessions by the epoch that they note (revocations.lua). A row stays, for what it has ended
    -- must not come back; one of everything so far takes the place of the earlier ones of its target.
    space('revocation', {
        field('epoch', 'unsigned'), field('target', 'string'), field('target_id', 'string'),
        field('revocation_id', 'string'), field('since', 'unsigned'), optional('before', 'unsigned'),
    }, primary('epoch'), index('target', { 'target', 'target_id', 'epoch' }, true))

    -- What a customer allowed a partner's client, and what they were asked for and declined.
    space('consent', {
        field('sub', 'string'), field('client_id', 'string'), field('consent_id', 'string'),
        field('scope', 'string'), field('declined', 'string'),
        field('granted_at', 'unsigned'), field('updated_at', 'unsigned'),
    }, primary('sub', 'client_id'))

    -- `sid` is derived from the cookie's secret by SHA-256, so it may be shown in tokens.
    space('session', {
        field('sid', 'string'), field('sub', 'string'), field('auth_time', 'unsigned'),
        field('acr', 'string'), field('amr', 'string'), field('created_at', 'unsigned'),
        field('seen_at', 'unsigned'), field('expires_at', 'unsigned'), field('epoch', 'unsigned'),
    }, primary('sid'), index('sub', { 'sub', 'sid' }, true), EXPIRY)

    space('grant', {
        field('grant_id', 'string'), field('sub', 'string'), field('client_id', 'string'),
        field('sid', 'string'), field('scope', 'string'), field('auth_time', 'unsigned'),
        field('acr', 'string'), field('amr', 'string'), field('offline', 'boolean'),
        field('refresh', 'boolean'), field('created_at', 'unsigned'), field('expires_at', 'unsigned'),
        field('epoch', 'unsigned'), optional('claims', 'map'), optional('consent_id', 'string'),
    }, primary('grant_id'), index('sub', { 'sub', 'sid', 'client_id', 'created_at' }), EXPIRY)

    space('code', {
        field('code_hash', 'string'), field('grant_id', 'string'), field('client_id', 'string'),
        field('redirect_uri', 'string'), field('expires_at', 'unsigned'),
        optional('code_challenge', 'string'), optional('nonce', 'string'),
        optional('attempt', 'string'),
    }, primary('code_hash'), EXPIRY)

    -- One row per family of refresh tokens, constant in size however often it rotates.
    space('refresh', {
        field('grant_id', 'string'), field('current_hash', 'string'), field('previous_hash', 'string'),
        field('attempt', 'string'), field('rotated_at', 'unsigned'), field('expires_at', 'unsigned'),
    }, primary('grant_id'), EXPIRY)

    space('revoked_token', {
        field('jti', 'string'), field('expires_at', 'unsigned'),
    }, primary('jti'), EXPIRY)

    -- One row per journey; a journey without `client_id` is one of the pages.
    space('challenge', {
        field('journey', 'string'), field('challenge_id', 'string'), field('phone', 'unsigned'),
        field('code_hash', 'string'), field('tries_left', 'unsigned'), field('resend_at', 'unsigned'),
        field('created_at', 'unsigned'), field('expires_at', 'unsigned'),
        field('attempt', 'string'), field('test', 'boolean'),
        optional('client_id', 'string'), optional('spent_by', 'string'), optional('wrong_attempt', 'string'),
    }, primary('journey'), EXPIRY)

    -- A login in progress in one browser.
    space('interaction', {
        field('interaction_id', 'string'), field('browser_hash', 'string'), field('request', 'map'),
        field('step', 'string'), field('expires_at', 'unsigned'),
        optional('phone', 'unsigned'), optional('phone_verified_at', 'unsigned'), optional('test', 'boolean'),
        optional('sub', 'string'), optional('sid', 'string'), optional('code_hash', 'string'),
    }, primary('interaction_id'), EXPIRY)

    -- An authorization request that arrived by POST, until the browser comes back by GET.
    space('authorization_request', {
        field('request_id', 'string'), field('parameters', 'map'), field('expires_at', 'unsigned'),
    }, primary('request_id'), EXPIRY)

    -- A key is published from `created_at` on. `sealed_public` proves that `public_jwk` is one of ours; it and
    -- `sealed_private` are gone where they must never count again. `token_lifetime` is that of the longest-lived token
    -- that the key may have signed. With `hsm` there is a private part in the hardware security module.
    space('signing_key', {
        field('kid', 'string'), field('alg', 'string'), field('use', 'string'), field('state', 'string'),
        field('public_jwk', 'map'), field('hsm', 'boolean'), field('ordered', 'boolean'),
        field('created_at', 'unsigned'), field('token_lifetime', 'unsigned'),
        optional('activates_at', 'unsigned'), optional('activated_at', 'unsigned'),
        optional('retires_at', 'unsigned'), optional('ended_at', 'unsigned'),
        optional('sealed_public', 'string'), optional('sealed_private', 'string'),
    }, primary('kid'), index('alg', { 'alg', 'state' }))

    space('server_secret', {
        field('name', 'string'), field('version', 'unsigned'), field('sealed', 'string'),
        field('created_at', 'unsigned'), optional('superseded_at', 'unsigned'),
    }, primary('name', 'version'))

    -- GCRA: `arrival` is the theoretical arrival time of the next request.
    space('rate_limit', {
        field('key', 'string'), field('arrival', 'number'), field('expires_at', 'unsigned'),
    }, primary('key'), EXPIRY)

    -- A chain (audit_trail.lua). `detail` is JSON text, because its bytes are hashed.
    space('audit', {
        field('seq', 'unsigned'), field('at', 'unsigned'), field('event', 'string'),
        optional('sub', 'string'), optional('client_id', 'string'), optional('by', 'string'),
        optional('reason', 'string'), optional('detail', 'string'), field('hash', 'string'),
    }, primary('seq'))

    -- One row: the last audit row that was removed, and up to which removal is under way or done.
    space('audit_anchor', {
        field('id', 'unsigned'), field('seq', 'unsigned'), field('hash', 'string'), field('through', 'unsigned'),
    }, primary('id'))
end

return { name = '0001_initial', up = up }
