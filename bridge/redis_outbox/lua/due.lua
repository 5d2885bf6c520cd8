-- List the lanes of a partition that are due, the longest due first. At most one caller a guard period is answered.
--
-- KEYS[1] zset    ready       KEYS[2] string  sweep
-- ARGV[1] most lanes          ARGV[2] guard period in ms
--
-- Returns lanes.
-- First what needs no memory: Redis then lets the rest pass even when it is full.
redis.call('ZREM', KEYS[1], '')
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then
  return {}
end
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
