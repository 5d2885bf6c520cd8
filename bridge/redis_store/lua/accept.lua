-- Accept writes at the end of a lane: all of them, or none.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes
-- KEYS[3] zset  ready         KEYS[4] zset  oldest        KEYS[5] list  settled
-- KEYS[6] hash  held          KEYS[7] zset  writers
-- KEYS[8] string  idempotency record, only if the client sent a key
-- ARGV[1] lane                ARGV[2] accept id (8 bytes; the same when an accept is repeated)
-- ARGV[3] '1' if this accept may have been executed before, else '0'
-- ARGV[4] fingerprint of the request (16 bytes), or ''     ARGV[5] TTL of the idempotency record, in ms
-- ARGV[6] client              ARGV[7] max bytes pending in the lane
-- ARGV[8] max bytes that the client may have pending in this partition
-- ARGV[9] max bytes that this partition may hold
-- ARGV[10] offer group (8 bytes): equal for all writes of one request, or ''
-- ARGV[11...] records
--
-- Returns {position of the first write, time in ms, 1 if the lane is to be dispatched else 0, 1 if a repeated request
-- gets the job of the first one else 0},
-- or 'mismatch' if the idempotency key came with another request before,
-- or 'late' if a repeat of this accept was executed before it,
-- or 'lane', 'client' or 'store' if the writes would exceed that cap; then nothing is stored.
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
local accept_id = ARGV[2]
local is_repeated = ARGV[3] == '1'
local fingerprint = ARGV[4]
local idempotency_ttl_ms = ARGV[5]
local client = ARGV[6]
local max_lane_bytes = tonumber(ARGV[7])
local max_client_bytes = tonumber(ARGV[8])
local max_partition_bytes = tonumber(ARGV[9])
local offer_group = ARGV[10]
local first_record = 11

-- An entry is a record behind the time (13 digits) and the accept id (8 bytes).
local entry_prefix_bytes = 21
local max_searched_entries = 256
local max_searched_bytes = 1048576
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
    return {position, accepted_ms, 1, known_accept_id == accept_id and 0 or 1}
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
      return {string.format('%.0f', settled + length - number_from_end + 1), accepted_ms, 1, 0}
    end
    bytes_read = bytes_read + #entry
    if bytes_read > max_searched_bytes then
      break
    end
  end
end

local records, size = {}, 0
for i = first_record, #ARGV do
  records[#records + 1] = ARGV[i]
  size = size + entry_prefix_bytes + #ARGV[i]
end
local usage = read_usage(client)
if not is_repeated and string.find(usage.repeated, accept_id, 1, true) then
  -- A first try that arrives after its repeat, from a connection that was given up: stored now, it would stand behind
  -- writes that were accepted since.
  return 'late'
end
local exceeded = (usage.lane_bytes + size > max_lane_bytes and 'lane')
  or (usage.client_bytes + size > max_client_bytes and 'client')
  or (usage.partition_bytes + size > max_partition_bytes and 'store')
if offer_group ~= '' then
  -- A shorter write must not pass an earlier one of its request that found no room. `declined` is the latest such group
  -- (8 bytes) and the cap that was exceeded.
  local declined = redis.call('HGET', lane_key, 'declined')
  if declined and string.sub(declined, 1, 8) == offer_group then
    return string.sub(declined, 9)
  end
  if exceeded then
    redis.call('HSET', lane_key, 'declined', offer_group .. exceeded)
    if not usage.last_position then
      -- The lane has no other field, so nothing else would ever delete its hash.
      redis.call('PEXPIRE', lane_key, declined_ttl_ms)
    end
  end
end
if exceeded then
  return exceeded
end

local first_position, now_ms, was_idle = append(accept_id, client, records, size, usage)
if is_repeated then
  redis.call('HSET', lane_key, 'repeated', string.sub(usage.repeated .. accept_id, -max_repeated_bytes))
end
if idempotency_key then
  local idempotency_record = fingerprint .. accept_id .. now_ms .. first_position
  redis.call('SET', idempotency_key, idempotency_record, 'PX', idempotency_ttl_ms)
end
return {first_position, now_ms, was_idle, 0}
