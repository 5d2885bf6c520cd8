-- Accept writes at the end of a lane: all of them, or none.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes
-- KEYS[3] zset  ready         KEYS[4] zset  oldest        KEYS[5] list  settled
-- KEYS[6] hash  held          KEYS[7] zset  writers
-- KEYS[8] string  idempotency record, only if the client sent a key
-- ARGV[1] lane                ARGV[2] accept id (8 bytes; the same when an accept is repeated)
-- ARGV[3] '1' if this accept may have been executed before, else '0'
-- ARGV[4] fingerprint of the request (16 bytes), or ''     ARGV[5] how long its record lasts, in ms
-- ARGV[6] client              ARGV[7] most bytes pending in the lane
-- ARGV[8] most bytes that the client may have pending in this partition
-- ARGV[9] most bytes that this partition may hold          ARGV[10] id of the request, or '' if it brings one write
-- ARGV[11...] records
--
-- Returns {position of the first write, time in ms, 1 if the lane was idle else 0, 1 if this is a replay else 0},
-- or 'mismatch' if the idempotency key came with another request before,
-- or 'late' if this accept was repeated before, by one who has been answered,
-- or 'lane', 'client' or 'store' if the writes would exceed that cap; then nothing is stored.
--
-- An idempotency record is: fingerprint (16 bytes), accept id (8 bytes), time (13 digits), position.
--- @include read_usage
--- @include append
if KEYS[8] then
  local known = redis.call('GET', KEYS[8])
  if known then
    if string.sub(known, 1, 16) ~= ARGV[4] then
      return 'mismatch'
    end
    local replayed = string.sub(known, 17, 24) == ARGV[2] and 0 or 1
    return {string.sub(known, 38), string.sub(known, 25, 37), 1, replayed}
  end
elseif ARGV[3] == '1' then
  -- Only a repeat pays for the search, which ends after many entries or long ones. What it does not find, because it was
  -- delivered since or lies too deep, is stored a second time, with the same bytes.
  local length, read = redis.call('LLEN', KEYS[2]), 0
  for back = 1, math.min(256, length) do
    local entry = redis.call('LINDEX', KEYS[2], -back)
    if string.sub(entry, 14, 21) == ARGV[2] then
      local settled = tonumber(redis.call('HGET', KEYS[1], 'settled'))
      return {string.format('%.0f', settled + length - back + 1), string.sub(entry, 1, 13), 1, 0}
    end
    read = read + #entry
    if read > 1048576 then
      break
    end
  end
end

local records, size = {}, 0
for i = 11, #ARGV do
  records[#records + 1] = ARGV[i]
  size = size + 21 + #ARGV[i]
end
local there = weigh(KEYS, ARGV[6])
if ARGV[3] == '0' and string.find(there[5], ARGV[2], 1, true) then
  -- A first try that comes after its repeat, from a connection that was given up: stored now, it would stand behind what
  -- was written since.
  return 'late'
end
local over = (there[2] + size > tonumber(ARGV[7]) and 'lane')
  or (there[4] + size > tonumber(ARGV[8]) and 'client')
  or (there[3] + size > tonumber(ARGV[9]) and 'store')
if ARGV[10] ~= '' then
  -- A shorter write must not pass an earlier one of its request that found no room.
  local declined = redis.call('HGET', KEYS[1], 'declined')
  if declined and string.sub(declined, 1, 8) == ARGV[10] then
    return string.sub(declined, 9)
  end
  if over then
    redis.call('HSET', KEYS[1], 'declined', ARGV[10] .. over)
    if not there[1] then
      -- A lane that is not known otherwise.
      redis.call('PEXPIRE', KEYS[1], 60000)
    end
  end
end
if over then
  return over
end

local first, now, idle = append(KEYS, ARGV[1], ARGV[2], ARGV[6], records, size, there)
if ARGV[3] == '1' then
  redis.call('HSET', KEYS[1], 'repeated', string.sub(there[5] .. ARGV[2], -512))
end
if KEYS[8] then
  redis.call('SET', KEYS[8], ARGV[4] .. ARGV[2] .. now .. first, 'PX', ARGV[5])
end
return {first, now, idle, 0}
