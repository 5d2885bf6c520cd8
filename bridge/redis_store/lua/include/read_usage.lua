-- Read what a lane and its partition hold. Part of accept and replay.
--
-- Expects the locals lane_key and held_key. Returns a table:
-- last_position     position of the lane's last accepted write, nil if the lane is not known
-- lane_bytes        bytes pending in the lane
-- partition_bytes   bytes of all pending writes and dead letters of the partition
-- partition_writes  number of its pending writes, nil if it is not known: see adjust_held
-- client_bytes      bytes that the client has pending in the partition
-- repeated          ids of accepts that were repeated (8 bytes each), one after the other
-- writers           names of the clients that have written to the lane, each between newlines
local function read_usage(client)
  local lane_state = redis.call('HMGET', lane_key, 'accepted', 'bytes', 'repeated', 'writers')
  local held = redis.call('HMGET', held_key, 'bytes', 'of:' .. client, 'writes', 'counted')
  return {
    last_position = tonumber(lane_state[1]),
    lane_bytes = tonumber(lane_state[2]) or 0,
    partition_bytes = tonumber(held[1]) or 0,
    partition_writes = held[4] == held[1] and tonumber(held[3]) or nil,
    client_bytes = tonumber(held[2]) or 0,
    repeated = lane_state[3] or '',
    writers = lane_state[4] or ''
  }
end
