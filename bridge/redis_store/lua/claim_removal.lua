#!lua flags=allow-oom
-- Claim that administrators' ways to authenticate are about to end, if another way remains.
--
-- KEYS[1] zset  claimed ways -> when they were claimed (s)
-- ARGV[1] seconds for which a claim counts
-- ARGV[2] the number of ways that are about to end     ARGV[3...] these ways, then those that remain
--
-- Returns 1, or 0 if each way that remains is claimed by another removal.
local claims, lasts_s, ending = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local first_way = 3

local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', claims, '-inf', now - lasts_s)
local remains = false
for i = first_way + ending, #ARGV do
  remains = remains or not redis.call('ZSCORE', claims, ARGV[i])
end
if not remains then
  return 0
end
for i = first_way, first_way + ending - 1 do
  redis.call('ZADD', claims, now, ARGV[i])
end
redis.call('EXPIRE', claims, lasts_s)
return 1
