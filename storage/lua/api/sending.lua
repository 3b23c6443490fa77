-- For operators and for what sends: budgets, the conversion watch, and blocks.
local audit_trail = require('audit_trail')
local conversion = require('conversion')

local M = {}

local function described(cell)
    return {
        key = cell.key, sent = cell.sent, signed_in = cell.signed_in, vouched = cell.vouched,
        refused = cell.refused, held_until = cell.held_until, blocked_until = cell.blocked_until,
    }
end

local function cell_of(key, now)
    local level, name = key:match('^(%l+):(.+)$')
    return conversion.of(level, name, now)
end

-- What is of a client need not have been counted yet, if there is that client.
local function is_client(key)
    local client_id = key:match('^client:(.+)$')
    return client_id ~= nil and box.space.client:get(client_id) ~= nil
end

-- The cells of a level, in the order of their names, after `after`.
function M.sending_cells(args)
    local cells, last = {}, nil
    local start = { args.level, args.after or '' }
    for _, row in box.space.conversion.index.level:pairs(start, { iterator = 'GT' }) do
        if row.level ~= args.level or #cells == args.limit then
            break
        end
        table.insert(cells, described(cell_of(row.key, args.now)))
        last = row.key
    end
    return { cells = cells, after = #cells == args.limit and last or nil }
end

-- What is held back or blocked now, that which is for longest first.
function M.sending_held(args)
    local cells, seen = {}, {}
    for _, index in ipairs({ 'blocked_until', 'held_until' }) do
        for _, row in box.space.conversion.index[index]:pairs(nil, { iterator = 'REQ' }) do
            if row[index] <= args.now or #cells == args.limit then
                break
            end
            if not seen[row.key] then
                seen[row.key] = true
                table.insert(cells, described(cell_of(row.key, args.now)))
            end
        end
    end
    local spent = {}
    for _, row in box.space.message_budget:pairs() do
        if row.day == math.floor(args.now / 86400) then
            table.insert(spent, { key = row.key, spent = row.spent, budget = row.budget })
        end
    end
    return { cells = cells, budgets = spent }
end

-- Nothing is sent for a prefix, a network or a client until a time.
function M.sending_block(args)
    if args.key:match('^client:') and not is_client(args.key) then
        return { type = 'unknown' }
    end
    local cell = cell_of(args.key, args.now)
    if cell.blocked_until ~= args.blocked_until then
        cell.blocked_until = args.blocked_until
        conversion.keep(cell)
        audit_trail.record('sending_blocked', args.now, {
            by = args.by, reason = args.reason, detail = { key = args.key, blocked_until = args.blocked_until },
        })
    end
    return { type = 'blocked_sending', blocked_until = cell.blocked_until }
end

-- Nothing holds it back any more, neither an operator nor the watch, which begins anew.
function M.sending_unblock(args)
    local cell = cell_of(args.key, args.now)
    if args.now >= math.max(cell.blocked_until, cell.held_until) then
        local is_known = is_client(args.key) or box.space.conversion:get(args.key) ~= nil
        return { type = is_known and 'not_blocked' or 'unknown' }
    end
    conversion.begin_anew(cell)
    audit_trail.record('sending_unblocked', args.now, {
        by = args.by, reason = args.reason, detail = { key = args.key },
    })
    return { type = 'unblocked' }
end

return M
