-- Goes on with a block that was leased durably, unless a later one is in use. ARGV: its first number, and its end.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local known = redis.call('HMGET', KEYS[1], 'ceiling', 'run')
local ceiling = known[2] == run and tonumber(known[1]) or nil
if ceiling and ceiling > tonumber(ARGV[1]) then return 0 end
if ceiling ~= tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'next', ARGV[1]) end
redis.call('HSET', KEYS[1], 'ceiling', ARGV[2], 'run', run)
return 1
