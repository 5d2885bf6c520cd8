#!lua flags=allow-oom
-- List lanes of a partition that are due: the longest due first, and if there are too many, some of the others.
-- At most one caller in a guard period gets any.
--
-- KEYS[1] zset    ready       KEYS[2] string  sweep
-- ARGV[1] max lanes           ARGV[2] guard period in ms
-- ARGV[3] where among the others to begin, from 0 to 1
--
-- Returns lanes.
local ready_key = KEYS[1]
local sweep_key = KEYS[2]
local max_lanes = tonumber(ARGV[1])
local guard_ms = ARGV[2]
local others_offset = ARGV[3]

if not redis.call('SET', sweep_key, '1', 'NX', 'PX', guard_ms) then
  return {}
end
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local due_count = redis.call('ZCOUNT', ready_key, '-inf', now_ms)
if due_count <= max_lanes then
  return due_count == 0 and {} or redis.call('ZRANGE', ready_key, 0, due_count - 1)
end
local longest_due = math.ceil(max_lanes / 2)
local lanes = redis.call('ZRANGE', ready_key, 0, longest_due - 1)
local others = max_lanes - longest_due
local begin = longest_due + math.floor(others_offset * (due_count - longest_due - others + 0.999))
for _, lane in ipairs(others > 0 and redis.call('ZRANGE', ready_key, begin, begin + others - 1) or {}) do
  lanes[#lanes + 1] = lane
end
return lanes
