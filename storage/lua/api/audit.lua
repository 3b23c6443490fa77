local rows = require('rows')

local M = {}

function M.audit_read(args)
    local events = {}
    for _, row in box.space.audit.index.primary:pairs(args.after, { iterator = 'GT' }) do
        table.insert(events, {
            seq = row.seq, at = row.at, event = row.event, sub = rows.plain(row.sub),
            client_id = rows.plain(row.client_id), detail = rows.plain(row.detail),
        })
        if #events == args.limit then
            break
        end
    end
    return events
end

return M
