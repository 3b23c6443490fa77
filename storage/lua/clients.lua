-- Clients: documents that the protocol layer reads and writes, and a revision for whoever keeps copies of them.
--
-- `source` says who manages a client: `channels` (a channels file), `operator` (a command), `registration` (RFC 7591).
local revocations = require('revocations')
local rows = require('rows')

local M = {}

function M.bump()
    box.space.revision:upsert({ 'clients', 1 }, { { '+', 2, 1 } })
end

function M.describe(row)
    return { client_id = row.client_id, channel_id = row.channel_id, source = row.source, document = row.document }
end

-- A new client, whose identifier must be free.
function M.insert(client, now)
    rows.insert(box.space.client, {
        client_id = client.client_id, channel_id = client.channel_id, source = client.source,
        document = client.document, updated_at = now,
    })
    M.bump()
end

function M.set_document(client_id, document, now)
    box.space.client:update(client_id, { { '=', 'document', document }, { '=', 'updated_at', now } })
    M.bump()
end

-- What a client was given ends in one step; when it is enabled or made anew also what a worker that has not heard of it
-- has given meanwhile.
function M.end_grants(client_id, revocation_id)
    revocations.add({ target = 'client', target_id = client_id, revocation_id = revocation_id, since = 0 })
end

-- A new client may have the name of an old one.
function M.end_grants_of_before(client_id, revocation_id)
    if revocations.any('client', client_id) then
        M.end_grants(client_id, revocation_id)
    end
end

function M.delete(client_id)
    box.space.client:delete(client_id)
    box.space.open_client:delete(client_id)
    M.bump()
end

return M
