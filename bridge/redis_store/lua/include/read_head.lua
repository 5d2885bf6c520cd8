-- Read the writes at the head of a lane that the caller has just claimed, freeze them, and note in the oldest set when
-- the first of them was accepted. Part of claim and settle.
--
-- Writes that an earlier claim froze and did not settle are read again, exactly: they may have been sent, and a
-- redelivery must consist of the same calls. `frozen` is the position of the last write that was read.
--
-- Expects the locals lane, lane_key, writes_key, oldest_key, max_writes and max_bytes.
-- Returns what claim.lua documents: nine values about the lane, then the entries.
local function read_head()
  local chunk_entries = 100
  local state = redis.call('HMGET', lane_key,
    'settled', 'frozen', 'attempts', 'claims', 'alone', 'broke', 'broke_alone', 'broke_since', 'denied_since')
  local settled, frozen, attempts, claims, alone = state[1], state[2], state[3], state[4], state[5]
  local broke, broke_alone, broke_since, denied_since = state[6], state[7], state[8], state[9]
  local write_limit, byte_limit = max_writes, max_bytes
  local frozen_count = frozen and tonumber(frozen) - tonumber(settled) or 0
  local is_frozen = frozen_count > 0
  if is_frozen then
    write_limit, byte_limit = frozen_count, math.huge
  end

  local head = {settled, attempts or '0', claims, alone or '0', is_frozen and '1' or '0',
    broke or '0', broke_alone or '0', broke_since or '', denied_since or ''}
  local value_count = #head
  local count, size = 0, 0
  while count < write_limit and size < byte_limit do
    local chunk = redis.call('LRANGE', writes_key, count, math.min(count + chunk_entries, write_limit) - 1)
    if #chunk == 0 then break end
    for _, entry in ipairs(chunk) do
      if size >= byte_limit then break end
      count, size = count + 1, size + #entry
      head[value_count + count] = entry
    end
  end
  if count > 0 then
    local first_entry = head[value_count + 1]
    redis.call('ZADD', oldest_key, string.sub(first_entry, 1, 13), lane)
  end
  redis.call('HSET', lane_key, 'frozen', string.format('%.0f', tonumber(settled) + count))
  return head
end
