-- Take out of a client's buckets what was spent, also more than is left, and say what is left.
--
-- KEYS[1] hash  quota
-- ARGV[1] how many seconds' worth a bucket holds           ARGV[2] how many seconds' worth may be owed
-- ARGV[3...] for each bucket: its name, units a second, units spent
--
-- Returns what is left of each bucket, as text; less than nothing is owed.
local t = redis.call('TIME')
local now = t[1] + t[2] / 1000000
local left, full_in = {}, 0
for i = 3, #ARGV, 3 do
  local name, rate = ARGV[i], tonumber(ARGV[i + 1])
  local capacity = math.max(1, rate * ARGV[1])
  local was = redis.call('HMGET', KEYS[1], name, name .. '_at')
  local level = was[1] and math.min(capacity, was[1] + math.max(0, now - was[2]) * rate) or capacity
  level = math.max(level - ARGV[i + 2], -rate * ARGV[2])
  redis.call('HSET', KEYS[1], name, string.format('%.6f', level), name .. '_at', string.format('%.6f', now))
  full_in = math.max(full_in, (capacity - level) / rate)
  left[#left + 1] = string.format('%.6f', level)
end
-- A bucket that is full needs no key; one that takes longer than a day to fill is forgotten.
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(math.ceil(full_in * 1000) + 1000, 86400000)))
return left
