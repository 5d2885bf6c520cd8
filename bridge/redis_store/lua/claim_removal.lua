#!lua flags=allow-oom
-- Claim that administrators' credentials are about to end, if an unclaimed one remains.
--
-- KEYS[1] zset  claimed credentials -> when they were claimed (s)
-- ARGV[1] seconds after which a claim ends
-- ARGV[2] the number of credentials that are about to end     ARGV[3...] these credentials, then the remaining ones
--
-- Returns 1, or 0 if each remaining credential is claimed by another removal.
local claims, ttl_s, ending_count = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local first_ending = 3
local first_remaining = first_ending + ending_count

local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', claims, '-inf', now - ttl_s)
local remains = false
for i = first_remaining, #ARGV do
  remains = remains or not redis.call('ZSCORE', claims, ARGV[i])
end
if not remains then
  return 0
end
for i = first_ending, first_remaining - 1 do
  redis.call('ZADD', claims, now, ARGV[i])
end
redis.call('EXPIRE', claims, ttl_s)
return 1
