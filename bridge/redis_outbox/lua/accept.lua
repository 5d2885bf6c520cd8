-- Accept writes at the end of a lane: all of them, or none.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes
-- KEYS[3] zset  ready         KEYS[4] list  settled
-- KEYS[5] string  idempotency record, only if the client sent a key
-- ARGV[1] lane                ARGV[2] accept id (8 bytes; the same when an accept is repeated)
-- ARGV[3] '1' if this accept may have been executed before, else '0'
-- ARGV[4] fingerprint of the request (16 bytes), or ''     ARGV[5] how long its record lasts, in ms
-- ARGV[6...] records
--
-- Returns {position of the first write, time in ms, 1 if the lane was idle else 0, 1 if this is a replay else 0},
-- or 'mismatch' if the idempotency key came with another request before.
--
-- An entry is: time (13 digits), accept id (8 bytes), record.
-- An idempotency record is: fingerprint (16 bytes), accept id (8 bytes), time (13 digits), position.
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local count = #ARGV - 5

if KEYS[5] then
  local known = redis.call('GET', KEYS[5])
  if known then
    if string.sub(known, 1, 16) ~= ARGV[4] then
      return 'mismatch'
    end
    local replayed = string.sub(known, 17, 24) == ARGV[2] and 0 or 1
    return {string.sub(known, 38), string.sub(known, 25, 37), 1, replayed}
  end
elseif ARGV[3] == '1' then
  -- Only a repeat pays for the search. If the first try was executed and even delivered since, the write is stored
  -- a second time with the same bytes, which MLflow collapses.
  local length = redis.call('LLEN', KEYS[2])
  local tail = redis.call('LRANGE', KEYS[2], -256, -1)
  for i, entry in ipairs(tail) do
    if string.sub(entry, 14, 21) == ARGV[2] then
      local settled = tonumber(redis.call('HGET', KEYS[1], 'settled'))
      return {string.format('%.0f', settled + length - #tail + i), string.sub(entry, 1, 13), 1, 0}
    end
  end
end

local last = redis.call('HINCRBY', KEYS[1], 'accepted', count)
if last == count then
  -- A lane that is new, or was forgotten after its retention. Its positions start at the time in microseconds, so
  -- that they never repeat those of an earlier life of the lane.
  local base = string.format('%.0f', t[1] * 1000000 + t[2])
  redis.call('HSET', KEYS[1], 'settled', base)
  last = redis.call('HINCRBY', KEYS[1], 'accepted', base)
end
for i = 6, #ARGV do
  redis.call('RPUSH', KEYS[2], now .. ARGV[2] .. ARGV[i])
end
local first = string.format('%.0f', last - count + 1)
if KEYS[5] then
  redis.call('SET', KEYS[5], ARGV[4] .. ARGV[2] .. now .. first, 'PX', ARGV[5])
end
local idle = redis.call('ZADD', KEYS[3], 'NX', now, ARGV[1])
if idle == 1 then
  redis.call('PERSIST', KEYS[1])
  redis.call('PERSIST', KEYS[4])
end
return {first, now, idle, 0}
