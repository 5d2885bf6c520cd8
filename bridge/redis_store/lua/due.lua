#!lua flags=allow-oom
-- List lanes of a partition that are due. If there are too many, half of them are those due for longest, and the other
-- half a range of the others. At most one caller in a guard period gets any.
--
-- KEYS[1] zset    ready       KEYS[2] string  sweep
-- ARGV[1] max lanes           ARGV[2] guard period in ms
-- ARGV[3] where in the others their range begins, as a share from 0 to 1
--
-- Returns the lanes, none if the partition was swept in the guard period.
local ready_key = KEYS[1]
local sweep_key = KEYS[2]
local max_lanes = tonumber(ARGV[1])
local guard_ms = ARGV[2]
local range_offset = ARGV[3]

if not redis.call('SET', sweep_key, '1', 'NX', 'PX', guard_ms) then
  return {}
end
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local due_count = redis.call('ZCOUNT', ready_key, '-inf', now_ms)
if due_count <= max_lanes then
  return due_count == 0 and {} or redis.call('ZRANGE', ready_key, 0, due_count - 1)
end
local longest_due_count = math.ceil(max_lanes / 2)
local lanes = redis.call('ZRANGE', ready_key, 0, longest_due_count - 1)
local range_count = max_lanes - longest_due_count
if range_count > 0 then
  -- Less than one more than the last possible begin, so that each begin is equally likely and a share of 1 is in range.
  local begin_limit = due_count - longest_due_count - range_count + 0.999
  local begin = longest_due_count + math.floor(range_offset * begin_limit)
  for _, lane in ipairs(redis.call('ZRANGE', ready_key, begin, begin + range_count - 1)) do
    lanes[#lanes + 1] = lane
  end
end
return lanes
