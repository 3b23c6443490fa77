-- Auth sessions (draft-ietf-oauth-first-party-apps 5.3.1): interactions that an app of ours began without a browser.
-- What follows their beginning is the same procedures as on the pages, with the client that they are bound to.
local interactions = require('api.interactions')
local phone = require('api.phone')

local M = {}

-- With a phone, its challenge begins in the same transaction. Where that is refused there is nothing to go on with.
function M.auth_session_start(args)
    local answer = interactions.interaction_start(args)
    if answer.type ~= 'interaction_started' or args.phone == nil then
        return answer
    end
    args.bound_client_id = args.request.client_id
    answer = phone.interaction_otp_start(args)
    if answer.type == 'limited' then
        box.space.interaction:delete(args.interaction_id)
    end
    return answer
end

-- Whose it is, for a request that brings no client_id.
function M.auth_session_read(args)
    local interaction = box.space.interaction:get(args.interaction_id)
    if interaction == nil or interaction.browser_hash ~= args.browser_hash then
        return { type = 'unknown' }
    end
    return { type = 'auth_session', client_id = interaction.request.client_id }
end

return M
