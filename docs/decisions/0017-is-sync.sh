#!/bin/sh
# Three healthy nodes, a synchronous space with a quorum of two: do writes go on, and are the copies alike?
set -eu
place=$(mktemp -d)
cat > "$place/node.lua" <<'LUA'
local name, place = arg[1], arg[2]
local work = place .. '/' .. name
require('fio').mktree(work)
local peers = {}
for _, peer in ipairs({ 'a', 'b', 'c' }) do table.insert(peers, ('unix/:%s/%s.sock'):format(place, peer)) end
box.cfg({
    work_dir = work, log = work .. '/log', feedback_enabled = false, listen = ('unix/:%s/%s.sock'):format(place, name),
    replication = peers, read_only = name ~= 'a', replication_timeout = 0.5, replication_connect_timeout = 10,
    replication_synchro_quorum = 2, replication_synchro_timeout = 5,
})
if name == 'a' then
    box.schema.user.grant('guest', 'super', nil, nil, { if_not_exists = true })
    box.schema.space.create('s', { is_sync = true }):create_index('primary')
end
require('console').listen(('unix/:%s/%s.control'):format(place, name))
LUA
for name in a b c; do tarantool "$place/node.lua" $name "$place" > "$place/$name.out" 2>&1 & echo $! >> "$place/pids"; done
trap 'xargs kill -9 < "$place/pids"; rm -rf "$place"' EXIT
sleep 4
ask() { printf '%s\n' "$2" | tarantoolctl connect "unix/:$place/$1.control" 2>/dev/null; }
cat > "$place/writes.txt" <<'LUA'
fiber = require('fiber') done, failed, reason = 0, 0, '' for i = 1, 2000 do local ok, why = pcall(box.space.s.replace, box.space.s, { i % 50, i }) if ok then done = done + 1 else failed = failed + 1 reason = tostring(why) end if failed == 3 then break end end return 'acknowledged', done, 'failed', failed, reason
LUA
ask a "$(cat "$place/writes.txt")"
sleep 1
for name in a b c; do echo "$name:"; ask $name "return 'rows', box.space.s:count(), 'sum', (function() local n = 0 for _, t in box.space.s:pairs() do n = n + t[2] end return n end)(), box.info.vclock, box.info.status"; done
for name in a b c; do echo "$name upstreams:"; ask $name "r = {} for i, p in pairs(box.info.replication) do r[i] = p.upstream and (p.upstream.status .. ' ' .. (p.upstream.message or '')) end return r"; done
