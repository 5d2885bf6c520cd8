#!lua flags=allow-oom
-- Acquire a permit for one call to upstream: the rate limiter and the circuit breaker in one.
--
-- KEYS[1] hash  flow control
-- ARGV[1] calls per second (0: not limited)    ARGV[2] burst
-- ARGV[3] timeout of a probe, in ms            ARGV[4] longest wait that is granted, in ms
-- ARGV[5] calls per second of lanes that were denied before; 0 if this call's was not
-- ARGV[6] '1' if the call is part of a delivery, which a pause withholds
--
-- Returns {'open', wait in ms}, or {'shut' or 'paused', time in ms after which to ask again, reason}.
--
-- The bucket follows the generic cell rate algorithm (ITU-T I.371): `next` is the time, in microseconds, at which the
-- bucket would be full again.
local flow_control_key = KEYS[1]
local default_rate = ARGV[1]
local burst = tonumber(ARGV[2])
local probe_timeout_ms = ARGV[3]
local max_wait_ms = tonumber(ARGV[4])
local denied_rate = tonumber(ARGV[5])
local delivers = ARGV[6] == '1'

-- How soon the outcome of a probe in flight is asked for again.
local probe_recheck_ms = 500
-- For how long a half-open breaker waits for another probe than a call that may be denied again.
local denied_probe_delay_ms = 5000
local denied_burst = 10

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now_us = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', flow_control_key,
  'until', 'reason', 'probe', 'rate', 'next', 'denied_next', 'paused_until')
local open_until, reason, probe_until = tonumber(state[1]), state[2], tonumber(state[3])
local rate, full_at_us, denied_next_us = tonumber(state[4] or default_rate), state[5], state[6]
local paused_until = tonumber(state[7])

if delivers and paused_until and paused_until > now_ms then
  -- The lane is due again at once: while the pause lasts, no sweep finds it, and when it ends the next one does.
  return {'paused', '0', 'deliveries are paused by an operator'}
end
if open_until then
  local wait_until = open_until
  if wait_until <= now_ms and probe_until then
    -- Half-open: a probe is in flight, and its outcome arrives soon. If it never does, another may go.
    wait_until = probe_until > now_ms and math.min(probe_until, now_ms + probe_recheck_ms) or 0
  end
  if denied_rate > 0 then
    -- A call that may be denied again is no probe: other calls go first.
    wait_until = math.max(wait_until, open_until + denied_probe_delay_ms)
  end
  if wait_until > now_ms then
    return {'shut', string.format('%.0f', wait_until - now_ms), reason or ''}
  end
end
if denied_rate > 0 then
  -- No wait is granted: a worker that comes too early asks again, after its own pause.
  local interval_us = 1000000 / denied_rate
  local next_us = math.max(tonumber(denied_next_us or 0), now_us - (denied_burst - 1) * interval_us)
  if next_us > now_us then
    return {'shut', string.format('%.0f', (next_us - now_us) / 1000 + 1), 'the rate limit of denied calls'}
  end
  redis.call('HSET', flow_control_key, 'denied_next', string.format('%.0f', next_us + interval_us))
end

local wait_ms = 0
if rate > 0 then
  local interval_us = 1000000 / rate
  local full_us = math.max(tonumber(full_at_us or 0), now_us)
  wait_ms = math.max(0, full_us - now_us - (burst - 1) * interval_us) / 1000
  if wait_ms > max_wait_ms then
    return {'shut', string.format('%.0f', wait_ms), 'the rate limit'}
  end
  redis.call('HSET', flow_control_key, 'next', string.format('%.0f', full_us + interval_us))
end
if open_until then
  redis.call('HSET', flow_control_key, 'probe', string.format('%.0f', now_ms + probe_timeout_ms))
end
return {'open', string.format('%.0f', wait_ms)}
