-- The audit trail: a chain, each row of which is bound to all rows before it.
--
-- A row's `hash` is SHA-256 of, one after the other: the hash of the row before it (of the first row: 32 zero
-- bytes), `seq` and `at` in decimal digits, `event`, `sub`, `client_id`, `by`, `reason`, `detail`; each as a
-- netstring (its length in bytes in decimal digits, a colon, the bytes, a comma), an absent one as a hyphen.
-- `storage/audit_chain.py` computes the same from the rows alone.
local digest = require('digest')
local json = require('json')

local M = {}

local BEGINNING = { seq = 0, hash = ('\0'):rep(32) }

local ANCHOR = 1 -- the key of the one row of `audit_anchor`

-- The last row that is archived and no longer here: what remains is a continuation of it.
function M.anchor()
    return box.space.audit_anchor:get(ANCHOR) or BEGINNING
end

function M.set_anchor(row, through)
    box.space.audit_anchor:replace({ ANCHOR, row.seq, row.hash, through })
end

-- The last row of all. It is read from the space, so that a write that is taken back leaves no trace.
function M.head()
    return box.space.audit.index.primary:max() or M.anchor()
end

-- JSON with the members of every object in the order of their names.
local function canonical(value)
    if type(value) ~= 'table' then
        return json.encode(value)
    end
    local parts = {}
    if value[1] ~= nil or next(value) == nil then
        for position, element in ipairs(value) do
            parts[position] = canonical(element)
        end
        return '[' .. table.concat(parts, ',') .. ']'
    end
    local names = {}
    for name in pairs(value) do
        table.insert(names, name)
    end
    table.sort(names)
    for position, name in ipairs(names) do
        parts[position] = json.encode(name) .. ':' .. canonical(value[name])
    end
    return '{' .. table.concat(parts, ',') .. '}'
end

local function netstring(value)
    if value == nil then
        return '-'
    end
    return #value .. ':' .. value .. ','
end

-- Writes down an event in its own transaction. `by` is who made it happen, absent for the server itself.
function M.record(event, at, fields)
    local last = M.head()
    local seq = last.seq + 1
    local detail = nil
    if fields.detail ~= nil then
        detail = canonical(fields.detail)
    end
    local hash = digest.sha256(
        netstring(last.hash) .. netstring(('%d'):format(seq)) .. netstring(('%d'):format(at)) .. netstring(event)
        .. netstring(fields.sub) .. netstring(fields.client_id) .. netstring(fields.by)
        .. netstring(fields.reason) .. netstring(detail)
    )
    box.space.audit:insert({
        seq, at, event, fields.sub, fields.client_id, fields.by, fields.reason, detail, hash,
    })
end

return M
