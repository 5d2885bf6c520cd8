-- Note that the writes at the head of a lane were sent in vain. Part of settle and release.
--
-- A note is: position of the last write that was sent (16 digits), time (13 digits), what came of it. The latest fifty
-- are kept until those writes are settled.
local function note_attempt(lane_key, attempts_key, sent, now, outcome)
  local last = tonumber(redis.call('HGET', lane_key, 'settled')) + sent
  redis.call('HINCRBY', lane_key, 'attempts', 1)
  if last > tonumber(redis.call('HGET', lane_key, 'tried') or 0) then
    redis.call('HSET', lane_key, 'tried', string.format('%.0f', last))
  end
  redis.call('RPUSH', attempts_key, string.format('%016.0f%013.0f', last, now) .. outcome)
  redis.call('LTRIM', attempts_key, -50, -1)
end
