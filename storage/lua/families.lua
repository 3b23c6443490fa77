-- Families of refresh tokens: one row each, constant in size however often its token rotates.
--
-- There are tens of millions of them, so 128 bits of a hash are kept: nobody finds another token with the same. Of a
-- request's name 64 bits are, which tell it from the few others that present the same token. Rows of before, with
-- either whole, are understood.
local digest = require('digest')
local rows = require('rows')

local M = {}

local function of_hash(hash)
    return hash:sub(1, 16)
end

local function of_attempt(attempt)
    return digest.sha256(attempt):sub(1, 8)
end

-- Begins the grant's family.
function M.begin(grant_id, refresh_hash, args)
    rows.insert(box.space.refresh, {
        grant_id = grant_id,
        current_hash = of_hash(refresh_hash),
        previous_hash = '',
        attempt = of_attempt(args.attempt),
        rotated_at = args.now,
        expires_at = args.now + math.min(args.lifetimes.refresh_idle, args.lifetimes.refresh_absolute),
    })
end

-- The successor becomes the current token; the one that was presented is the previous now.
function M.rotate(grant_id, args, expires_at)
    box.space.refresh:update(grant_id, {
        { '=', 'current_hash', of_hash(args.successor_hash) },
        { '=', 'previous_hash', of_hash(args.presented_hash) },
        { '=', 'attempt', of_attempt(args.attempt) }, { '=', 'rotated_at', args.now },
        { '=', 'expires_at', expires_at },
    })
end

function M.is_current(family, hash)
    return family.current_hash == of_hash(hash) or family.current_hash == hash
end

function M.is_previous(family, hash)
    return family.previous_hash == of_hash(hash) or family.previous_hash == hash
end

-- Whether the last rotation was by this very request.
function M.rotated_by(family, attempt)
    return family.attempt == of_attempt(attempt) or family.attempt == attempt
end

return M
