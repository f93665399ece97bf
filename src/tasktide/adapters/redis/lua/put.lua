-- Keeps snapshots, none over a newer one. KEYS: where; ARGV: for each its version, time to live in ms, and body.
-- A value is the version in 16 digits, then the body.
for i, key in ipairs(KEYS) do
    local version = ARGV[3 * i - 2]
    local known = redis.call('GETRANGE', key, 0, 15)
    if known == '' or tonumber(known) <= tonumber(version) then
        redis.call('SET', key, string.format('%016d', version) .. ARGV[3 * i], 'PX', ARGV[3 * i - 1])
    end
end
