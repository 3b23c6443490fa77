-- Rate limits by the generic cell rate algorithm: one row per key, however many events it has seen.
local M = {}

local ROUNDING = 0.001 -- seconds; sums of parts of a second are not exact

local function next_arrival(limit, now)
    local row = box.space.rate_limit:get(limit.key)
    local arrival = row ~= nil and math.max(row.arrival, now) or now
    return arrival + limit.period / limit.burst
end

-- Seconds until one more event would be within every limit; 0 = now.
function M.wait(limits, now)
    local longest = 0
    for _, limit in ipairs(limits) do
        longest = math.max(longest, math.ceil(next_arrival(limit, now) - now - limit.period - ROUNDING))
    end
    return longest
end

-- Counts one event against every limit, or against none when one of them refuses. Returns as `wait`.
function M.take(limits, now)
    local wait = M.wait(limits, now)
    if wait == 0 then
        for _, limit in ipairs(limits) do
            local arrival = next_arrival(limit, now)
            box.space.rate_limit:replace({ limit.key, arrival, math.ceil(arrival) })
        end
    end
    return wait
end

-- One event less than was counted.
function M.give_back(limits, now)
    for _, limit in ipairs(limits) do
        local arrival = next_arrival(limit, now) - 2 * limit.period / limit.burst
        box.space.rate_limit:replace({ limit.key, arrival, math.ceil(arrival) })
    end
end

return M
