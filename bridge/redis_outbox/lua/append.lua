-- Append entries at the end of a lane, whether or not it was known. Part of accept and replay.
--
-- An entry is: time (13 digits), accept id (8 bytes), record. `size` is that of all entries together. The caller has
-- declared the keys of the lane, its writes, the ready set, the settled log and what is held, in this order.
local function append(keys, lane, accept_id, client, records, size)
  local t = redis.call('TIME')
  local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
  local last = redis.call('HINCRBY', keys[1], 'accepted', #records)
  if last == #records then
    -- A lane that is new, or was forgotten after its retention. Its positions start at the time in microseconds, so
    -- that they never repeat those of an earlier life of the lane.
    local base = string.format('%.0f', t[1] * 1000000 + t[2])
    redis.call('HSET', keys[1], 'settled', base)
    last = redis.call('HINCRBY', keys[1], 'accepted', base)
  end
  for _, record in ipairs(records) do
    redis.call('RPUSH', keys[2], now .. accept_id .. record)
  end
  redis.call('HINCRBY', keys[1], 'bytes', size)
  redis.call('HINCRBY', keys[5], 'bytes', size)
  redis.call('HINCRBY', keys[5], 'of:' .. client, size)
  local idle = redis.call('ZADD', keys[3], 'NX', now, lane)
  if idle == 1 then
    redis.call('PERSIST', keys[1])
    redis.call('PERSIST', keys[4])
  end
  return string.format('%.0f', last - #records + 1), now, idle
end
