#!lua flags=allow-oom
-- Pause the deliveries to an upstream. A second pause replaces the first one, and keeps its beginning.
--
-- KEYS[1] hash  flow control
-- ARGV[1] when the pause ends, in ms       ARGV[2] why       ARGV[3] the client that pauses
--
-- Returns nothing.
local flow_control_key = KEYS[1]
local until_ms = ARGV[1]
local why = ARGV[2]
local client = ARGV[3]

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local earlier_pause = redis.call('HMGET', flow_control_key, 'paused_until', 'paused_since')
local earlier_until_ms, earlier_since_ms = tonumber(earlier_pause[1] or 0), earlier_pause[2]
local is_paused = earlier_until_ms > now_ms
local since_ms = is_paused and earlier_since_ms or string.format('%.0f', now_ms)
redis.call('HSET', flow_control_key,
  'paused_until', until_ms, 'paused_since', since_ms, 'paused_why', why, 'paused_by', client)
return nil
