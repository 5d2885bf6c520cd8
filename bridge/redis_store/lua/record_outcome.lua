#!lua flags=allow-oom
-- Tell what came of a call to upstream.
--
-- KEYS[1] hash  gate
-- ARGV[1] 'delivered', 'answered', 'throttled', 'failed', 'ours' or 'missing'      ARGV[2] why
-- ARGV[3] Retry-After in ms, 0 if there was none           ARGV[4] calls a second (0: not limited)
-- ARGV[5] failures in a row that open the breaker          ARGV[6] longest time it stays open, in ms
-- ARGV[7] jitter between 0.5 and 1                         ARGV[8] calls a second that were denied before; 0 if this
--                                                          one was not
--
-- Returns nothing.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local state = redis.call('HMGET', KEYS[1], 'until', 'failures', 'rate', 'slowed')
local retry_after = tonumber(ARGV[3])

if ARGV[1] == 'missing' then
  -- Upstream may only not know this call, which says nothing. If it was to find out, another call shall.
  redis.call('HDEL', KEYS[1], 'probe')
  return nil
end
if ARGV[1] == 'failed' or ARGV[1] == 'ours' then
  if state[1] and tonumber(state[1]) > now then
    -- A call that was on its way when the breaker opened; it says nothing new.
    return nil
  end
  local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
  if state[1] or ARGV[1] == 'ours' or failures >= tonumber(ARGV[5]) then
    local trips = redis.call('HINCRBY', KEYS[1], 'trips', 1)
    local pause = math.min(tonumber(ARGV[6]), 500 * 2 ^ math.min(trips, 20)) * ARGV[7]
    local shut_until = string.format('%.0f', now + math.max(pause, retry_after))
    redis.call('HSET', KEYS[1], 'until', shut_until, 'reason', ARGV[2])
    redis.call('HDEL', KEYS[1], 'probe', 'failures')
  end
  return nil
end

local still_shut = state[1] and tonumber(state[1]) > now
if (state[1] or state[2]) and not still_shut then
  -- Upstream answers: the breaker closes. Not so for a call that was on its way when it opened, or when upstream asked
  -- to be left alone.
  redis.call('HDEL', KEYS[1], 'until', 'reason', 'probe', 'failures', 'trips')
end
if ARGV[1] == 'delivered' and tonumber(ARGV[8]) > 0 then
  -- What was denied is allowed now: many more may try, so that a long queue of them goes off quickly.
  redis.call('HINCRBY', KEYS[1], 'denied_next', string.format('%.0f', -10000000 / ARGV[8]))
end
if ARGV[1] == 'delivered' then
  redis.call('HSET', KEYS[1], 'delivered', string.format('%.0f', now))
end
local most = tonumber(ARGV[4])
if ARGV[1] == 'throttled' then
  -- Many calls are in flight when upstream begins to throttle; together they count once a second.
  if most > 0 and now - tonumber(state[4] or 0) >= 1000 then
    local slower = math.max(1, tonumber(state[3] or most) * 0.7)
    redis.call('HSET', KEYS[1], 'rate', slower, 'slowed', string.format('%.0f', now))
  end
  if retry_after > 0 then
    redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + retry_after), 'reason', ARGV[2])
  end
elseif state[3] then
  local faster = tonumber(state[3]) + most * 0.01
  if faster >= most then
    redis.call('HDEL', KEYS[1], 'rate', 'slowed')
  else
    redis.call('HSET', KEYS[1], 'rate', faster)
  end
end
return nil
