-- Tell what became of the write at one position of a lane. Changes nothing.
--
-- KEYS[1] hash  lane          KEYS[2] list  settled       KEYS[3] zset  ready       KEYS[4] hash  dead
-- KEYS[5] string  what became of its dead letter
-- ARGV[1] lane                ARGV[2] position            ARGV[3] field of its dead letter
--
-- Returns nil if it is not known (any more), or one of
-- {'pending', failed attempts, last failure, due time in ms}
-- {'settled', record}
-- {'dead', letter}
-- {'drained', what became of the letter}
local letter = redis.call('HGET', KEYS[4], ARGV[3])
if letter then
  return {'dead', letter}
end
local fate = redis.call('GET', KEYS[5])
if fate then
  return {'drained', fate}
end
local state = redis.call('HMGET', KEYS[1], 'settled', 'accepted', 'tried', 'attempts', 'failure')
local position = tonumber(ARGV[2])
if not state[1] or position > tonumber(state[2]) then
  return nil
end
if position > tonumber(state[1]) then
  -- The lane's attempts are those of the writes at its head; what stands behind them only waits for the same reason.
  local sent = state[3] and position <= tonumber(state[3])
  return {'pending', sent and state[4] or '0', state[5] or '', redis.call('ZSCORE', KEYS[3], ARGV[1]) or ''}
end

-- The log is ordered by position: find the first record that ends at or after ours.
local low, high = 0, redis.call('LLEN', KEYS[2]) - 1
local found
while low <= high do
  local middle = math.floor((low + high) / 2)
  local record = redis.call('LINDEX', KEYS[2], middle)
  if tonumber(string.sub(record, 1, 16)) >= position then
    found, high = record, middle - 1
  else
    low = middle + 1
  end
end
return found and {'settled', found} or nil
