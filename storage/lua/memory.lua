-- Memory that is kept for those who have signed in: this share of all of it, and not less than so many bytes.
local RESERVED_SHARE = 0.2
local RESERVED_BYTES = 32 * 1024 * 1024

local M = {}

-- Whether what anybody can ask for over and over must be refused, before memory runs out for all.
function M.is_scarce()
    local memory = box.slab.info()
    local reserved = math.max(RESERVED_SHARE * memory.quota_size, RESERVED_BYTES)
    return memory.quota_size - memory.arena_used < reserved
end

return M
