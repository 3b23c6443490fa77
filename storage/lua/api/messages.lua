-- Messages with one-time codes: what the workers do for them, and what their providers say later.
local outbox = require('outbox')

local M = {}

function M.message_claim(args)
    return outbox.claim(args)
end

-- One answer for each message, in their order.
function M.message_submit(args)
    local answers = {}
    for _, message in ipairs(args.messages) do
        table.insert(answers, outbox.submit(message, args.now))
    end
    return { answers = answers }
end

function M.message_submitted(args)
    for _, message in ipairs(args.messages) do
        outbox.submitted(message, args.now)
    end
    return { type = 'noted' }
end

function M.message_refused(args)
    return { type = outbox.refused(args) and 'noted' or 'unknown' }
end

-- One answer for each receipt, in their order.
function M.message_receipts(args)
    local answers = {}
    for _, receipt in ipairs(args.receipts) do
        table.insert(answers, { type = outbox.receipt(args.provider, receipt, args.now) })
    end
    return answers
end

return M
