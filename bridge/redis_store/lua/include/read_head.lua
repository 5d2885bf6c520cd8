-- Read the writes at the head of a lane that the caller has just claimed, freeze them, and note in `oldest` since when the
-- first of them has waited. Part of claim and settle.
--
-- What an earlier claim froze and did not settle is read again, exactly: it may have been sent, and a redelivery must
-- be made of the same calls. `frozen` is the position of the last write that was read.
local function read_head(keys, oldest, lane, most_writes, most_bytes)
  local state = redis.call('HMGET', keys[1],
    'settled', 'frozen', 'attempts', 'claims', 'alone', 'broke', 'broke_alone', 'broke_since', 'denied_since')
  local settled = tonumber(state[1])
  local limit = tonumber(most_writes)
  local bytes = tonumber(most_bytes)
  local frozen = state[2] and tonumber(state[2]) - settled or 0
  if frozen > 0 then
    limit, bytes = frozen, math.huge
  end

  local result = {state[1], state[3] or '0', state[4], state[5] or '0', frozen > 0 and '1' or '0',
    state[6] or '0', state[7] or '0', state[8] or '', state[9] or ''}
  local read, size = 0, 0
  while read < limit and size < bytes do
    local chunk = redis.call('LRANGE', keys[2], read, math.min(read + 100, limit) - 1)
    if #chunk == 0 then break end
    for _, entry in ipairs(chunk) do
      if size >= bytes then break end
      read, size = read + 1, size + #entry
      result[read + 9] = entry
    end
  end
  if read > 0 then
    redis.call('ZADD', oldest, string.sub(result[10], 1, 13), lane)
  end
  redis.call('HSET', keys[1], 'frozen', string.format('%.0f', settled + read))
  return result
end
