-- The audit row of an event is written in the event's own transaction.
local M = {}

function M.record(event, at, fields)
    local last = box.space.audit.index.primary:max()
    box.space.audit:insert({
        last ~= nil and last.seq + 1 or 1,
        at,
        event,
        fields.sub,
        fields.client_id,
        fields.detail,
    })
end

return M
