#!lua flags=allow-oom
-- Ask to send one call to upstream.
--
-- KEYS[1] hash  gate
-- ARGV[1] calls a second (0: not limited)      ARGV[2] burst
-- ARGV[3] how long a probe may take, in ms     ARGV[4] longest wait that is granted, in ms
-- ARGV[5] calls a second that were denied before; 0 if this one was not
--
-- Returns {'open', wait in ms} or {'shut', time in ms after which to ask again, why}.
--
-- The bucket is kept as the generic cell rate algorithm does (ITU-T I.371): `next` is the time, in microseconds, at
-- which the bucket would be full again.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local now_us = t[1] * 1000000 + t[2]
local state = redis.call('HMGET', KEYS[1], 'until', 'reason', 'probe', 'rate', 'next', 'denied_next')
local denied_rate = tonumber(ARGV[5])

if state[1] then
  local shut_until = tonumber(state[1])
  if shut_until <= now and state[3] then
    -- Half-open: a probe is on its way, and is heard of soon. If it never is, another may go.
    local given_up = tonumber(state[3])
    shut_until = given_up > now and math.min(given_up, now + 500) or 0
  end
  if denied_rate > 0 then
    -- A call that may be denied again finds nothing out: others come first.
    shut_until = math.max(shut_until, tonumber(state[1]) + 5000)
  end
  if shut_until > now then
    return {'shut', string.format('%.0f', shut_until - now), state[2] or ''}
  end
end
if denied_rate > 0 then
  -- No wait is granted: whoever comes too early asks again, after its own pause.
  -- Ten may go at once.
  local apart = 1000000 / denied_rate
  local denied_next = math.max(tonumber(state[6] or 0), now_us - 9 * apart)
  if denied_next > now_us then
    return {'shut', string.format('%.0f', (denied_next - now_us) / 1000 + 1), 'the rate limit of denied calls'}
  end
  redis.call('HSET', KEYS[1], 'denied_next', string.format('%.0f', denied_next + apart))
end

local rate = tonumber(state[4] or ARGV[1])
local wait = 0
if rate > 0 then
  local interval = 1000000 / rate
  local full_at = math.max(tonumber(state[5] or 0), now_us)
  wait = math.max(0, full_at - now_us - (tonumber(ARGV[2]) - 1) * interval) / 1000
  if wait > tonumber(ARGV[4]) then
    return {'shut', string.format('%.0f', wait), 'the rate limit'}
  end
  redis.call('HSET', KEYS[1], 'next', string.format('%.0f', full_at + interval))
end
if state[1] then
  redis.call('HSET', KEYS[1], 'probe', string.format('%.0f', now + ARGV[3]))
end
return {'open', string.format('%.0f', wait)}
