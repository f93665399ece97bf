-- Hands messages to the gateways where somebody listens: one publish a gateway. KEYS: who listens to each message's
-- channel; ARGV[1]: the sender, which has served its own; ARGV[2]: the channels' prefix; then the messages, each packed
-- as MessagePack, which become one array.
-- A gateway that nobody hears any more is forgotten.
local by_gateway, order = {}, {}
for i, key in ipairs(KEYS) do
    for _, gateway in ipairs(redis.call('SMEMBERS', key)) do
        if gateway ~= ARGV[1] then
            if not by_gateway[gateway] then
                by_gateway[gateway] = {}
                order[#order + 1] = gateway
            end
            local messages = by_gateway[gateway]
            messages[#messages + 1] = ARGV[2 + i]
        end
    end
end
for _, gateway in ipairs(order) do
    local messages = by_gateway[gateway]
    local packed = string.char(0xdd) .. struct.pack('>I4', #messages) .. table.concat(messages)
    if redis.call('PUBLISH', ARGV[2] .. gateway, packed) == 0 then
        for _, key in ipairs(KEYS) do redis.call('SREM', key, gateway) end
    end
end
return #order
