-- Takes numbers below a ceiling. KEYS[1]: a hash of the next number, the first that may not be given, and the run of
-- Redis that keeps count. ARGV[1]: how many. Gives the first; nothing when there are not so many, when the hash was lost,
-- or when it is of another run: what a restart or a replica brings back may be older than what was given.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local range = redis.call('HMGET', KEYS[1], 'next', 'ceiling', 'run')
if not range[1] or range[3] ~= run then return false end
if tonumber(range[1]) + tonumber(ARGV[1]) > tonumber(range[2]) then return false end
return redis.call('HINCRBY', KEYS[1], 'next', ARGV[1]) - ARGV[1]
