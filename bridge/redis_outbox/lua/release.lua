-- Give a lane back, due again after a while.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes        KEYS[3] zset  ready
-- ARGV[1] lane                ARGV[2] lease token         ARGV[3] delay in ms
-- ARGV[4] why the writes did not get through, or ''        ARGV[5] how many writes were sent in vain
-- ARGV[6] '1' to thaw what the claim froze
--
-- Returns 1, or 0 if the lease is another's.
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[2] then
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZADD', KEYS[3], 'XX', string.format('%.0f', now + ARGV[3]), ARGV[1])
redis.call('HDEL', KEYS[1], 'lease')
-- This claim has come to a proper end; crashes before it are not forgotten.
redis.call('HINCRBY', KEYS[1], 'claims', -1)
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'failure', ARGV[4])
end
if ARGV[5] ~= '0' then
  local tried = tonumber(redis.call('HGET', KEYS[1], 'settled')) + ARGV[5]
  redis.call('HINCRBY', KEYS[1], 'attempts', 1)
  redis.call('HSET', KEYS[1], 'tried', string.format('%.0f', tried))
end
if ARGV[6] == '1' then
  redis.call('HDEL', KEYS[1], 'frozen')
end
return 1
