-- Append entries at the end of a lane, known or not. Part of accept and replay.
--
-- An entry is: accept id (8 bytes), record. The time (13 digits) is put before it. There are at most 1,000 entries. `size`
-- is their size with the times, `usage` the result of read_usage().
--
-- Expects the locals lane, lane_key, writes_key, ready_key, oldest_key, settled_key, held_key and writers_key.
-- Returns the position of the first entry, the time in ms, and 1 if the lane was idle else 0.
local function append(client, entries, size, usage)
  local time = redis.call('TIME')
  local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  local last_position = usage.last_position
  if not last_position then
    -- The lane is new, or was deleted after its retention. Its positions start at the time in microseconds, so that
    -- they never repeat those of an earlier life of the lane.
    last_position = time[1] * 1000000 + time[2]
    redis.call('HSET', lane_key, 'settled', string.format('%.0f', last_position))
  end
  local stamped = {}
  for i, entry in ipairs(entries) do
    stamped[i] = now_ms .. entry
  end
  redis.call('RPUSH', writes_key, unpack(stamped))
  redis.call('HSET', lane_key,
    'accepted', string.format('%.0f', last_position + #entries), 'bytes', usage.lane_bytes + size)
  local held_bytes, client_bytes = usage.partition_bytes + size, usage.client_bytes + size
  local held_writes = usage.partition_writes
  if not held_writes and redis.call('ZCARD', ready_key) == 0 then
    -- The number was lost (see adjust_held), and no lane holds a write: counting starts again.
    held_writes = 0
  end
  if held_writes then
    redis.call('HSET', held_key, 'bytes', held_bytes, 'of:' .. client, client_bytes,
      'writes', held_writes + #entries, 'counted', held_bytes)
  else
    redis.call('HSET', held_key, 'bytes', held_bytes, 'of:' .. client, client_bytes)
  end
  if not string.find(usage.writers, '\n' .. client .. '\n', 1, true) then
    redis.call('HSET', lane_key, 'writers', (usage.writers == '' and '\n' or usage.writers) .. client .. '\n')
    redis.call('ZADD', writers_key, 0, client .. '\n' .. lane)
  end
  local was_idle = redis.call('ZADD', ready_key, 'NX', now_ms, lane)
  if was_idle == 1 then
    redis.call('ZADD', oldest_key, now_ms, lane)
    redis.call('HSET', lane_key, 'client', client)
    -- The keys of an empty lane expire after the retention.
    redis.call('PERSIST', lane_key)
    redis.call('PERSIST', settled_key)
  end
  return string.format('%.0f', last_position + 1), now_ms, was_idle
end
