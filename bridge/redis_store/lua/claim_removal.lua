#!lua flags=allow-oom
-- Claim that administrators' ways to authenticate are about to end, if another way remains.
--
-- KEYS[1] zset  claimed ways -> when they were claimed (s)
-- ARGV[1] TTL of a claim, in s
-- ARGV[2] the number of ways that are about to end     ARGV[3...] these ways, then those that remain
--
-- Returns 1, or 0 if each way that remains is claimed by another removal.
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
