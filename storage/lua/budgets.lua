-- What messages may cost in a day: a count for each client and each provider, with alarms on the way.
local audit_trail = require('audit_trail')

local M = {}

local DAY = 86400
local ALARMS = { 50, 80, 100 } -- percent

local function today(key, now)
    local day = math.floor(now / DAY)
    local row = box.space.message_budget:get(key)
    return day, row ~= nil and row.day == day and row.spent or 0
end

-- Seconds until there is room for one more within `share` of the budget; 0 = now.
function M.wait(key, budget, share, now)
    local day, spent = today(key, now)
    if spent < math.floor(budget * share) then
        return 0
    end
    return (day + 1) * DAY - now
end

-- Counts one message, whatever the budget is. Returns the alarm if it is the one that reaches a mark.
function M.spend(key, budget, now)
    local day, spent = today(key, now)
    box.space.message_budget:replace({ key, day, spent + 1, budget, (day + 2) * DAY })
    local alarm = nil
    for _, percent in ipairs(ALARMS) do
        local mark = budget * percent / 100
        if spent < mark and spent + 1 >= mark then
            alarm = { what = 'budget', key = key, percent = percent }
        end
    end
    if alarm ~= nil then
        audit_trail.record('message_budget_alarm', now, {
            detail = { key = key, percent = alarm.percent, budget = budget },
        })
    end
    return alarm
end

-- One message less than was counted at `at`, if that was today. A mark that it had reached is reached once more, and
-- told once more.
function M.give_back(key, at, now)
    local day, spent = today(key, now)
    if spent > 0 and day == math.floor(at / DAY) then
        box.space.message_budget:update(key, { { '-', 'spent', 1 } })
    end
end

return M
