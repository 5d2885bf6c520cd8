#!lua flags=allow-oom
-- List lanes of a partition that are due: those that are for longest, and if there are too many, some of the others.
-- At most one caller a guard period is answered.
--
-- KEYS[1] zset    ready       KEYS[2] string  sweep
-- ARGV[1] most lanes          ARGV[2] guard period in ms
-- ARGV[3] where among the others to look, from 0 to 1
--
-- Returns lanes.
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[2]) then
  return {}
end
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local due, most = redis.call('ZCOUNT', KEYS[1], '-inf', now), tonumber(ARGV[1])
if due <= most then
  return due == 0 and {} or redis.call('ZRANGE', KEYS[1], 0, due - 1)
end
local first = math.ceil(most / 2)
local lanes = redis.call('ZRANGE', KEYS[1], 0, first - 1)
local others = most - first
local begin = first + math.floor(ARGV[3] * (due - first - others + 0.999))
for _, lane in ipairs(others > 0 and redis.call('ZRANGE', KEYS[1], begin, begin + others - 1) or {}) do
  lanes[#lanes + 1] = lane
end
return lanes
