-- Change the bytes and the number of writes that a partition holds. Part of settle, replay and discard.
--
-- The field `writes` is the number of pending writes, and is valid while the field `counted` equals `bytes`. A process
-- of an older release changes `bytes` alone. Then the number is unknown until the partition has no pending write.
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
