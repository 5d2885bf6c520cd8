-- Change the bytes and the number of writes that a partition holds. Part of settle, replay and discard.
--
-- `writes` is the number of its pending writes as long as `counted` equals `bytes`: a process of an older release changes
-- `bytes` alone. Then the number is not known, until the partition has no pending write any more.
--
-- Expects the local held_key.
local function adjust_held(byte_delta, write_delta)
  local held = redis.call('HMGET', held_key, 'bytes', 'writes', 'counted')
  local bytes_before, writes, counted = held[1], held[2], held[3]
  local bytes = redis.call('HINCRBY', held_key, 'bytes', byte_delta)
  if writes and counted == bytes_before then
    redis.call('HSET', held_key, 'writes', writes + write_delta, 'counted', bytes)
  end
end
