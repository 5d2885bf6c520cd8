#!lua flags=allow-oom
-- Claim that administrators' credentials are about to end, if an unclaimed one remains.
--
-- KEYS[1] zset  claimed credentials -> when they were claimed (s)
-- ARGV[1] TTL of a claim, in s
-- ARGV[2] the number of credentials that are about to end     ARGV[3...] these credentials, then the remaining ones
--
-- Returns 1, or 0 if each remaining credential is claimed by another removal.
local claims_key = KEYS[1]
local claim_ttl_s = tonumber(ARGV[1])
local ending_count = tonumber(ARGV[2])
local first_ending = 3
local first_remaining = first_ending + ending_count

local now_s = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', claims_key, '-inf', now_s - claim_ttl_s)
local has_unclaimed = false
for i = first_remaining, #ARGV do
  has_unclaimed = has_unclaimed or not redis.call('ZSCORE', claims_key, ARGV[i])
end
if not has_unclaimed then
  return 0
end
for i = first_ending, first_remaining - 1 do
  redis.call('ZADD', claims_key, now_s, ARGV[i])
end
redis.call('EXPIRE', claims_key, claim_ttl_s)
return 1
