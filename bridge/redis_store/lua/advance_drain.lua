#!lua flags=allow-oom
-- Note the progress of a drain, its rate, or its end.
--
-- KEYS[1] hash  drain         KEYS[2] zset  active drains
-- KEYS[3] zset  active drains of one cause
-- ARGV[1] drain id            ARGV[2] state               ARGV[3] retention of a drain that has ended, in ms
-- ARGV[4...] fields and values
--
-- Returns all fields and values of the drain, or nil if it does not run any more. Of a cancelled one only `done` and
-- `skipped` are still noted: what was under way at that moment is done all the same.
local drain_key = KEYS[1]
local active_drains_key = KEYS[2]
local active_drains_by_cause_key = KEYS[3]
local drain_id = ARGV[1]
local state = ARGV[2]
local retention_ms = ARGV[3]
local first_field = 4

local stored_state = redis.call('HGET', drain_key, 'state')
if stored_state == 'cancelled' then
  for i = first_field, #ARGV, 2 do
    local is_count = ARGV[i] == 'done' or ARGV[i] == 'skipped'
    -- Of two workers at once, the one that knows of less changes nothing.
    if is_count and tonumber(ARGV[i + 1]) > tonumber(redis.call('HGET', drain_key, ARGV[i]) or 0) then
      redis.call('HSET', drain_key, ARGV[i], ARGV[i + 1])
    end
  end
end
if stored_state ~= 'running' then
  return nil
end
redis.call('HSET', drain_key, 'state', state)
for i = first_field, #ARGV, 2 do
  redis.call('HSET', drain_key, ARGV[i], ARGV[i + 1])
end
if state ~= 'running' then
  local time = redis.call('TIME')
  redis.call('HSET', drain_key, 'ended', string.format('%.0f.%06.0f', time[1], time[2]))
  redis.call('ZREM', active_drains_key, drain_id)
  redis.call('ZREM', active_drains_by_cause_key, drain_id)
  redis.call('PEXPIRE', drain_key, retention_ms)
end
return redis.call('HGETALL', drain_key)
