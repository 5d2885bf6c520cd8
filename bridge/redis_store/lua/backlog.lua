-- Tell what is pending in one lane. Changes nothing.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes        KEYS[3] zset  ready
-- ARGV[1] lane
--
-- Returns {pending writes, their bytes, when the oldest was accepted (ms) or '', time in ms, failed attempts,
-- last failure or '', when it is due (ms) or '', '1' if it is being delivered else '0'}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'bytes', 'attempts', 'failure', 'lease')
local oldest = redis.call('LINDEX', KEYS[2], 0)
local due = redis.call('ZSCORE', KEYS[3], ARGV[1])
-- A lease that ran out is nobody's any more.
local leased = state[4] and due and tonumber(due) > now
return {
  redis.call('LLEN', KEYS[2]), state[1] or '0', oldest and string.sub(oldest, 1, 13) or '', string.format('%.0f', now),
  state[2] or '0', state[3] or '', due or '', leased and '1' or '0'
}
