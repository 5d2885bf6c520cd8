-- Read what is pending in one lane. Changes nothing.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes        KEYS[3] zset  ready
-- ARGV[1] lane
--
-- Returns {pending writes, their bytes, when the oldest was accepted (ms) or '', time in ms, failed attempts,
-- last failure or '', when the lane is due (ms) or '', '1' if it is being delivered else '0'}.
local lane_key = KEYS[1]
local writes_key = KEYS[2]
local ready_key = KEYS[3]
local lane = ARGV[1]

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', lane_key, 'bytes', 'attempts', 'failure', 'lease')
local bytes, attempts, failure, lease = state[1], state[2], state[3], state[4]
local oldest_entry = redis.call('LINDEX', writes_key, 0)
local accepted_ms = oldest_entry and string.sub(oldest_entry, 1, 13)
local due_ms = redis.call('ZSCORE', ready_key, lane)
-- A lease that has expired has no holder any more.
local is_leased = lease and due_ms and tonumber(due_ms) > now_ms
return {
  redis.call('LLEN', writes_key), bytes or '0', accepted_ms or '',
  string.format('%.0f', now_ms), attempts or '0', failure or '', due_ms or '', is_leased and '1' or '0'
}
