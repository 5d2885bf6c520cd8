#!lua flags=allow-oom
-- Make a lane due now, whatever its backoff. A lane that is being delivered stays as it is.
--
-- KEYS[1] hash  lane          KEYS[2] zset  ready
-- ARGV[1] lane
--
-- Returns 'unknown' if nothing is pending in the lane, 'delivering', or 'due'.
local lane_key = KEYS[1]
local ready_key = KEYS[2]
local lane = ARGV[1]

local due_ms = redis.call('ZSCORE', ready_key, lane)
if not due_ms then
  return 'unknown'
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if tonumber(due_ms) <= now_ms then
  return 'due'
end
-- The due time of a claimed lane is the end of its lease.
if redis.call('HGET', lane_key, 'lease') then
  return 'delivering'
end
redis.call('ZADD', ready_key, 'XX', string.format('%.0f', now_ms), lane)
return 'due'
