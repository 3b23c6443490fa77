-- The identifier of a node, made of its name: a node that joins anew is the same one, so that there are never more.
local digest = require('digest')

return function(name)
    local hex = digest.md5_hex('idp store node ' .. name)
    return ('%s-%s-4%s-8%s-%s'):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(14, 16), hex:sub(18, 20), hex:sub(21, 32))
end
