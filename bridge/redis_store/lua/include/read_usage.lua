-- Look up what is there already. Part of accept and replay.
--
-- The caller has declared the keys as for append(). Returns {last position of the lane or nil, bytes in the lane, bytes in
-- the partition, bytes of the client there, ids of accepts that were repeated, visible_client writes the lane has}.
local function weigh(keys, client)
  local lane = redis.call('HMGET', keys[1], 'accepted', 'bytes', 'repeated', 'writers')
  local held = redis.call('HMGET', keys[6], 'bytes', 'of:' .. client)
  return {tonumber(lane[1]), tonumber(lane[2]) or 0, tonumber(held[1]) or 0, tonumber(held[2]) or 0, lane[3] or '', lane[4] or ''}
end
