-- Charge a client's buckets for usage, even beyond what is left, and read what is left.
--
-- KEYS[1] hash  rate limits of the client
-- ARGV[1] capacity of a bucket, in seconds of its rate     ARGV[2] largest debt, in seconds of its rate
-- ARGV[3...] for each bucket: its name, units per second, units used
--
-- Returns what is left of each bucket, as text; a negative number is debt.
local rate_limits_key = KEYS[1]
local capacity_seconds = ARGV[1]
local max_debt_seconds = ARGV[2]
local first_bucket = 3
local max_ttl_ms = 86400000

local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local left, full_in_seconds = {}, 0
for i = first_bucket, #ARGV, 3 do
  local name, rate, used = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local capacity = math.max(1, rate * capacity_seconds)
  local bucket = redis.call('HMGET', rate_limits_key, name, name .. '_at')
  local stored_level, stored_at = bucket[1], bucket[2]
  local level = stored_level and math.min(capacity, stored_level + math.max(0, now - stored_at) * rate) or capacity
  level = math.max(level - used, -rate * max_debt_seconds)
  redis.call('HSET', rate_limits_key, name, string.format('%.6f', level), name .. '_at', string.format('%.6f', now))
  full_in_seconds = math.max(full_in_seconds, (capacity - level) / rate)
  left[#left + 1] = string.format('%.6f', level)
end
-- A bucket that is full needs no key; one that takes longer than the longest TTL to fill is deleted.
local full_in_ms = math.ceil(full_in_seconds * 1000)
redis.call('PEXPIRE', rate_limits_key, string.format('%.0f', math.min(full_in_ms + 1000, max_ttl_ms)))
return left
