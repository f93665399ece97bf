-- Counts requests in fixed windows that begin with the first of them. KEYS: whose. ARGV: the number of tiers, quota and
-- window in ms of each, then for each key how many requests have passed already. Those are counted in every tier; none (0)
-- asks for one more, which is counted in every tier if all have room, else in none.
-- Gives for each: whether it is allowed, then for each tier how many are left and when it begins anew, in ms.
-- A value is, for each tier, when its window began and how many came in it, as 64-bit numbers.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local tiers, quota, window, longest = tonumber(ARGV[1]), {}, {}, 0
for t = 1, tiers do
    quota[t], window[t] = tonumber(ARGV[2 * t]), tonumber(ARGV[2 * t + 1])
    if window[t] > longest then longest = window[t] end
end
local results = {}
for i, key in ipairs(KEYS) do
    local passed = tonumber(ARGV[2 * tiers + 1 + i])
    local raw = redis.call('GET', key)
    if raw and #raw ~= tiers * 16 then raw = false end
    local began, came = {}, {}
    local allowed = 1
    for t = 1, tiers do
        began[t], came[t] = now, 0
        if raw then
            local b, c = struct.unpack('>dd', raw, (t - 1) * 16 + 1)
            if now - b < window[t] then began[t], came[t] = b, c end
        end
        if came[t] >= quota[t] then allowed = 0 end
    end
    local more = passed > 0 and passed or allowed
    local result, packed = {allowed}, {}
    for t = 1, tiers do
        came[t] = came[t] + more
        result[2 * t] = quota[t] - came[t]
        result[2 * t + 1] = began[t] + window[t] - now
        packed[t] = struct.pack('>dd', began[t], came[t])
    end
    redis.call('SET', key, table.concat(packed), 'PX', longest)
    results[i] = result
end
return results
