-- Says that a gateway listens to channels, for a while. KEYS: who listens; ARGV: the gateway, and seconds.
for _, key in ipairs(KEYS) do
    redis.call('SADD', key, ARGV[1])
    redis.call('EXPIRE', key, ARGV[2])
end
