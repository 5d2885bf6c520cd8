-- Note a failed attempt at the writes at the head of a lane. Part of settle and release.
--
-- A note is: position of the last write that was sent (16 digits), time (13 digits), record of the attempt. The latest
-- ones are kept until those writes are settled.
--
-- Expects the locals lane_key and attempts_key. Returns nothing.
local function note_attempt(sent_count, now_ms, record)
  local max_notes = 50
  local last_sent = tonumber(redis.call('HGET', lane_key, 'settled')) + sent_count
  redis.call('HINCRBY', lane_key, 'attempts', 1)
  if last_sent > tonumber(redis.call('HGET', lane_key, 'tried') or 0) then
    redis.call('HSET', lane_key, 'tried', string.format('%.0f', last_sent))
  end
  redis.call('RPUSH', attempts_key, string.format('%016.0f%013.0f', last_sent, now_ms) .. record)
  redis.call('LTRIM', attempts_key, -max_notes, -1)
end
