-- Accept writes of one client at the end of a lane: the first of them, and all that follow as long as there is room.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes
-- KEYS[3] zset  ready         KEYS[4] zset  oldest        KEYS[5] list  settled
-- KEYS[6] hash  held          KEYS[7] zset  writers
-- KEYS[8] string  idempotency record, only if the client sent a key
-- ARGV[1] lane                ARGV[2] '1' if this accept may have been executed before, else '0'
-- ARGV[3] fingerprint of the request (16 bytes), or ''     ARGV[4] TTL of the idempotency record, in ms
-- ARGV[5] client              ARGV[6] max bytes pending in the lane
-- ARGV[7] max bytes that the client may have pending in this partition
-- ARGV[8] max bytes that this partition may hold
-- ARGV[9] offer group (8 bytes): equal for all writes of one request, or ''
-- ARGV[10...] entries: accept id (8 bytes; the same when an accept is repeated), record. One entry, unless there is a
--             group, this is no repeat, and there is no idempotency record; then up to 1,000.
--
-- Returns {position of the first write, time in ms, 1 if the lane is to be dispatched else 0, 1 if a repeated request
-- gets the job of the first one else 0, number of writes that are accepted, the cap that the next one would exceed, or
-- ''}.
-- If none is accepted, returns
-- 'mismatch' if the idempotency key came with another request before,
-- or 'late' if a repeat of this accept was executed before it,
-- or 'lane', 'client' or 'store' if the first write would exceed that cap.
--
-- An idempotency record is: fingerprint (16 bytes), accept id (8 bytes), time (13 digits), position.
local lane_key = KEYS[1]
local writes_key = KEYS[2]
local ready_key = KEYS[3]
local oldest_key = KEYS[4]
local settled_key = KEYS[5]
local held_key = KEYS[6]
local writers_key = KEYS[7]
local idempotency_key = KEYS[8]
local lane = ARGV[1]
local is_repeated = ARGV[2] == '1'
local fingerprint = ARGV[3]
local idempotency_ttl_ms = ARGV[4]
local client = ARGV[5]
local max_lane_bytes = tonumber(ARGV[6])
local max_client_bytes = tonumber(ARGV[7])
local max_partition_bytes = tonumber(ARGV[8])
local offer_group = ARGV[9]
local first_entry = 10
local accept_id = string.sub(ARGV[first_entry], 1, 8)

-- The store puts the time (13 digits) before an entry.
local stamp_bytes = 13
-- More than one round trip offers to a lane.
local max_searched_entries = 1024
local max_searched_bytes = 4194304
local declined_ttl_ms = 60000
-- The ids of the latest 64 repeated accepts.
local max_repeated_bytes = 512
--- @include read_usage
--- @include append
if idempotency_key then
  local idempotency_record = redis.call('GET', idempotency_key)
  if idempotency_record then
    local known_fingerprint = string.sub(idempotency_record, 1, 16)
    local known_accept_id = string.sub(idempotency_record, 17, 24)
    local accepted_ms = string.sub(idempotency_record, 25, 37)
    local position = string.sub(idempotency_record, 38)
    if known_fingerprint ~= fingerprint then
      return 'mismatch'
    end
    return {position, accepted_ms, 1, known_accept_id == accept_id and 0 or 1, 1, ''}
  end
elseif is_repeated then
  -- Only a repeat pays for the search from the lane's end, which stops after many entries or long ones. A write that it
  -- does not find, because it was delivered since or lies too deep, is stored a second time, with the same bytes.
  local length, bytes_read = redis.call('LLEN', writes_key), 0
  for number_from_end = 1, math.min(max_searched_entries, length) do
    local entry = redis.call('LINDEX', writes_key, -number_from_end)
    local accepted_ms, entry_accept_id = string.sub(entry, 1, 13), string.sub(entry, 14, 21)
    if entry_accept_id == accept_id then
      local settled = tonumber(redis.call('HGET', lane_key, 'settled'))
      return {string.format('%.0f', settled + length - number_from_end + 1), accepted_ms, 1, 0, 1, ''}
    end
    bytes_read = bytes_read + #entry
    if bytes_read > max_searched_bytes then
      break
    end
  end
end

local usage = read_usage(client)
if not is_repeated and usage.repeated ~= '' then
  for i = first_entry, #ARGV do
    if string.find(usage.repeated, string.sub(ARGV[i], 1, 8), 1, true) then
      -- A first try that arrives after its repeat, from a connection that was given up: stored now, it would stand
      -- behind writes that were accepted since.
      return 'late'
    end
  end
end
if offer_group ~= '' then
  -- A shorter write must not pass an earlier one of its request that found no room. `declined` is the latest such group
  -- (8 bytes) and the cap that was exceeded.
  local declined = redis.call('HGET', lane_key, 'declined')
  if declined and string.sub(declined, 1, 8) == offer_group then
    return string.sub(declined, 9)
  end
end

local entries, size, exceeded = {}, 0, ''
for i = first_entry, #ARGV do
  local next_size = size + stamp_bytes + #ARGV[i]
  exceeded = (usage.lane_bytes + next_size > max_lane_bytes and 'lane')
    or (usage.client_bytes + next_size > max_client_bytes and 'client')
    or (usage.partition_bytes + next_size > max_partition_bytes and 'store')
    or ''
  if exceeded ~= '' then
    break
  end
  entries[#entries + 1] = ARGV[i]
  size = next_size
end
if exceeded ~= '' and offer_group ~= '' then
  redis.call('HSET', lane_key, 'declined', offer_group .. exceeded)
  if not usage.last_position and #entries == 0 then
    -- The lane has no other field, so nothing else would ever delete its hash.
    redis.call('PEXPIRE', lane_key, declined_ttl_ms)
  end
end
if #entries == 0 then
  return exceeded
end

local first_position, now_ms, was_idle = append(client, entries, size, usage)
if is_repeated then
  redis.call('HSET', lane_key, 'repeated', string.sub(usage.repeated .. accept_id, -max_repeated_bytes))
end
if idempotency_key then
  local idempotency_record = fingerprint .. accept_id .. now_ms .. first_position
  redis.call('SET', idempotency_key, idempotency_record, 'PX', idempotency_ttl_ms)
end
return {first_position, now_ms, was_idle, 0, #entries, exceeded}
