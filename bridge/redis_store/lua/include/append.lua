-- Append entries at the end of a lane, whether or not it was known. Part of accept and replay.
--
-- An entry is: time (13 digits), accept id (8 bytes), record. `size` is that of all entries together, `there` what
-- weigh() has returned. The caller has declared the keys of the lane, its writes, the ready set, the oldest writes, the
-- settled log, what is held and the writers, in this order.
--
-- Returns the position of the first entry, the time in ms, and 1 if the lane was idle else 0.
local function append(keys, lane, accept_id, client, records, size, there)
  local t = redis.call('TIME')
  local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
  local last = there[1]
  if not last then
    -- A lane that is new, or was forgotten after its retention. Its positions start at the time in microseconds, so
    -- that they never repeat those of an earlier life of the lane.
    last = t[1] * 1000000 + t[2]
    redis.call('HSET', keys[1], 'settled', string.format('%.0f', last))
  end
  for _, record in ipairs(records) do
    redis.call('RPUSH', keys[2], now .. accept_id .. record)
  end
  redis.call('HSET', keys[1], 'accepted', string.format('%.0f', last + #records), 'bytes', there[2] + size)
  redis.call('HSET', keys[6], 'bytes', there[3] + size, 'of:' .. client, there[4] + size)
  if not string.find(there[6], '\n' .. client .. '\n', 1, true) then
    redis.call('HSET', keys[1], 'writers', (there[6] == '' and '\n' or there[6]) .. client .. '\n')
    redis.call('ZADD', keys[7], 0, client .. '\n' .. lane)
  end
  local idle = redis.call('ZADD', keys[3], 'NX', now, lane)
  if idle == 1 then
    redis.call('ZADD', keys[4], now, lane)
    redis.call('HSET', keys[1], 'client', client)
    redis.call('PERSIST', keys[1])
    redis.call('PERSIST', keys[5])
  end
  return string.format('%.0f', last + 1), now, idle
end
