-- The audit trail for those who read, verify and archive it; each call does a bounded piece of work.
local rows = require('rows')
local audit_trail = require('audit_trail')

local M = {}

local function position(row)
    return { seq = row.seq, hash = row.hash:hex() }
end

local function matches(row, wanted)
    for name, value in pairs(wanted) do
        if row[name] ~= value then
            return false
        end
    end
    return true
end

-- Of the `limit` rows after `after` those whose fields are as in `match`.
function M.audit_read(args)
    local events = {}
    for _, row in ipairs(box.space.audit:select(args.after, { iterator = 'GT', limit = args.limit })) do
        if matches(row, args.match) then
            table.insert(events, {
                seq = row.seq, at = row.at, event = row.event, sub = rows.plain(row.sub),
                client_id = rows.plain(row.client_id), by = rows.plain(row.by), reason = rows.plain(row.reason),
                detail = rows.plain(row.detail), hash = row.hash:hex(),
            })
        end
    end
    return events
end

-- Where the chain that is here begins and ends: its `anchor` is the row before its first one.
function M.audit_ends()
    return { anchor = position(audit_trail.anchor()), head = position(audit_trail.head()) }
end

-- Removes the oldest `limit` rows up to one that is known by `seq` and `hash`: whoever knows its hash has seen all
-- rows before it. That it happens is written down before the first of them goes.
function M.audit_remove(args)
    local anchor = audit_trail.anchor()
    if args.seq <= anchor.seq then
        return { type = 'removed', remaining = 0 }
    end
    local last = box.space.audit:get(args.seq)
    if last == nil or last.hash:hex() ~= args.hash then
        return { type = 'unknown' }
    end
    if anchor.through ~= args.seq then
        audit_trail.record('audit_archived', args.now, {
            by = args.by, reason = args.reason, detail = { seq = args.seq, hash = args.hash },
        })
    end
    local until_seq = math.min(args.seq, anchor.seq + args.limit)
    audit_trail.set_anchor(box.space.audit:get(until_seq), args.seq)
    for seq = anchor.seq + 1, until_seq do
        box.space.audit:delete(seq)
    end
    return { type = 'removed', remaining = args.seq - until_seq }
end

return M
