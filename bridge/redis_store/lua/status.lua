-- Read the status of the write at one position of a lane. Changes nothing.
--
-- KEYS[1] hash  lane          KEYS[2] list  settled       KEYS[3] zset  ready       KEYS[4] hash  dead
-- KEYS[5] string  fate of its dead letter
-- ARGV[1] lane                ARGV[2] position            ARGV[3] field of its dead letter
--
-- Returns nil if the write is not known (any more), or one of
-- {'pending', failed attempts, last failure, due time in ms}
-- {'settled', record}
-- {'dead', letter}
-- {'fate', fate of the letter: it was replayed or discarded}
local lane_key = KEYS[1]
local settled_key = KEYS[2]
local ready_key = KEYS[3]
local dead_key = KEYS[4]
local fate_key = KEYS[5]
local lane = ARGV[1]
local position = tonumber(ARGV[2])
local field = ARGV[3]

local letter = redis.call('HGET', dead_key, field)
if letter then
  return {'dead', letter}
end
local fate = redis.call('GET', fate_key)
if fate then
  return {'fate', fate}
end
local state = redis.call('HMGET', lane_key, 'settled', 'accepted', 'tried', 'attempts', 'failure')
local settled, accepted, tried, attempts, failure = state[1], state[2], state[3], state[4], state[5]
if not settled or position > tonumber(accepted) then
  -- The lane is unknown, or has not accepted this position.
  return nil
end
if position > tonumber(settled) then
  -- The lane's attempts are those of the writes at its head; the writes behind them wait for the same reason.
  local was_sent = tried and position <= tonumber(tried)
  return {'pending', was_sent and attempts or '0', failure or '', redis.call('ZSCORE', ready_key, lane) or ''}
end

-- The log is ordered by position: find the first record that ends at or after this one.
local low, high = 0, redis.call('LLEN', settled_key) - 1
local found
while low <= high do
  local middle = math.floor((low + high) / 2)
  local record = redis.call('LINDEX', settled_key, middle)
  if tonumber(string.sub(record, 1, 16)) >= position then
    found, high = record, middle - 1
  else
    low = middle + 1
  end
end
return found and {'settled', found} or nil
