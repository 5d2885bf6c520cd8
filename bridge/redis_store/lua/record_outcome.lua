#!lua flags=allow-oom
-- Record the outcome of a call to upstream in the rate limiter and the circuit breaker.
--
-- KEYS[1] hash  flow control
-- ARGV[1] 'delivered', 'answered', 'throttled', 'failed', 'identity_failed' or 'missing'      ARGV[2] reason
-- ARGV[3] Retry-After in ms, 0 if there was none           ARGV[4] calls per second (0: not limited)
-- ARGV[5] failures in a row that open the breaker          ARGV[6] longest time it stays open, in ms
-- ARGV[7] jitter between 0.5 and 1
-- ARGV[8] calls per second of lanes that were denied before; 0 if this call's was not
--
-- Returns nothing.
local flow_control_key = KEYS[1]
local outcome = ARGV[1]
local reason = ARGV[2]
local retry_after_ms = tonumber(ARGV[3])
local max_rate = tonumber(ARGV[4])
local failure_threshold = tonumber(ARGV[5])
local max_open_ms = tonumber(ARGV[6])
local jitter = ARGV[7]
local denied_rate = tonumber(ARGV[8])

-- The breaker opens for this time, doubled with each trip in a row. The bound keeps the power of two a small number.
local first_open_ms, max_doublings = 500, 20
-- Throttling multiplies the rate by this factor, once in a period at most. Other answers add a share of the full rate.
local slowdown_factor, slowdown_period_ms, speedup_share = 0.7, 1000, 0.01
-- Calls of denied lanes that may go at once after one of them was delivered.
local denied_burst = 10

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', flow_control_key, 'until', 'failures', 'rate', 'slowed')
local open_until, failure_count, slowed_rate, slowed_at = tonumber(state[1]), state[2], state[3], state[4]
local is_open = open_until and open_until > now_ms

local function note_opened()
  -- A probe that failed, and a longer pause, continue the same opening.
  if not open_until then
    redis.call('HSET', flow_control_key, 'opened', string.format('%.0f', now_ms))
  end
end

if outcome == 'missing' then
  -- Upstream may lack this call only, which proves nothing. If it was the probe, another call becomes it.
  redis.call('HDEL', flow_control_key, 'probe')
  return nil
end
if outcome == 'failed' or outcome == 'identity_failed' then
  if is_open then
    -- A call that was in flight when the breaker opened proves nothing new.
    return nil
  end
  local failures = redis.call('HINCRBY', flow_control_key, 'failures', 1)
  if open_until or outcome == 'identity_failed' or failures >= failure_threshold then
    local trips = redis.call('HINCRBY', flow_control_key, 'trips', 1)
    local open_ms = math.min(max_open_ms, first_open_ms * 2 ^ math.min(trips, max_doublings)) * jitter
    local until_ms = string.format('%.0f', now_ms + math.max(open_ms, retry_after_ms))
    note_opened()
    redis.call('HSET', flow_control_key, 'until', until_ms, 'reason', reason)
    redis.call('HDEL', flow_control_key, 'probe', 'failures')
  end
  return nil
end

if (open_until or failure_count) and not is_open then
  -- Upstream answers: the breaker closes. It stays open after a call that was in flight when it opened, and for as long
  -- as upstream asked for a pause.
  redis.call('HDEL', flow_control_key, 'until', 'opened', 'reason', 'probe', 'failures', 'trips')
  open_until = nil
end
if outcome == 'delivered' and denied_rate > 0 then
  -- Upstream allows what it denied: further calls may go at once, so that a long queue of them drains quickly.
  local denied_interval_us = 1000000 / denied_rate
  redis.call('HINCRBY', flow_control_key, 'denied_next', string.format('%.0f', -denied_burst * denied_interval_us))
end
if outcome == 'delivered' then
  redis.call('HSET', flow_control_key, 'delivered', string.format('%.0f', now_ms))
end
if outcome == 'throttled' then
  -- Many calls are in flight when upstream begins to throttle; together they lower the rate once a second.
  if max_rate > 0 and now_ms - tonumber(slowed_at or 0) >= slowdown_period_ms then
    local lower_rate = math.max(1, tonumber(slowed_rate or max_rate) * slowdown_factor)
    redis.call('HSET', flow_control_key, 'rate', lower_rate, 'slowed', string.format('%.0f', now_ms))
  end
  if retry_after_ms > 0 then
    note_opened()
    redis.call('HSET', flow_control_key, 'until', string.format('%.0f', now_ms + retry_after_ms), 'reason', reason)
  end
elseif slowed_rate then
  local higher_rate = tonumber(slowed_rate) + max_rate * speedup_share
  if higher_rate >= max_rate then
    redis.call('HDEL', flow_control_key, 'rate', 'slowed')
  else
    redis.call('HSET', flow_control_key, 'rate', higher_rate)
  end
end
return nil
