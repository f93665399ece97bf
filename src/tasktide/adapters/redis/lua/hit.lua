-- Counts requests in fixed windows that begin with the first of them: in every tier, if all have room; else in none.
-- KEYS: whose; ARGV: for each the number of tiers, then quota and window in ms of each tier.
-- Gives for each: whether it is allowed, then for each tier how many are left and when it begins anew, in ms.
-- A value is, for each tier, when its window began and how many came in it, as 64-bit numbers.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local results = {}
local at = 1
for i, key in ipairs(KEYS) do
    local tiers = tonumber(ARGV[at])
    local raw = redis.call('GET', key)
    if raw and #raw ~= tiers * 16 then raw = false end
    local began, came = {}, {}
    local allowed, longest = 1, 0
    for t = 1, tiers do
        local quota, window = tonumber(ARGV[at + 2 * t - 1]), tonumber(ARGV[at + 2 * t])
        began[t], came[t] = now, 0
        if raw then
            local b, c = struct.unpack('>dd', raw, (t - 1) * 16 + 1)
            if now - b < window then began[t], came[t] = b, c end
        end
        if came[t] >= quota then allowed = 0 end
        if window > longest then longest = window end
    end
    local result, packed = {allowed}, {}
    for t = 1, tiers do
        local quota, window = tonumber(ARGV[at + 2 * t - 1]), tonumber(ARGV[at + 2 * t])
        came[t] = came[t] + allowed
        result[2 * t] = quota - came[t]
        result[2 * t + 1] = began[t] + window - now
        packed[t] = struct.pack('>dd', began[t], came[t])
    end
    redis.call('SET', key, table.concat(packed), 'PX', longest)
    results[i] = result
    at = at + 1 + 2 * tiers
end
return results
