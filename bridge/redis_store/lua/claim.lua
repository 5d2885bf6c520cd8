#!lua flags=allow-oom
-- Claim a lane that is due, and read the writes at its head.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes        KEYS[3] zset  ready
-- KEYS[4] zset  oldest        KEYS[5] string  the lane of the run's name
-- ARGV[1] lane                ARGV[2] lease token         ARGV[3] lease in ms
-- ARGV[4] max writes          ARGV[5] max bytes
--
-- Returns nil if the lane is empty, leased, or not yet due; else the lane of the run's name or '', and
-- {settled position, failed attempts, claims, '1' if the head was last sent alone else '0', '1' if an earlier claim
-- had read the same writes else '0', how often upstream failed on calls from this head, how often of these on its
-- first write alone, since when (ms) or '', since when upstream has denied it (ms) or '', entry, entry, ...}.
local lane_key = KEYS[1]
local writes_key = KEYS[2]
local ready_key = KEYS[3]
local oldest_key = KEYS[4]
local run_alias_key = KEYS[5]
local lane = ARGV[1]
local token = ARGV[2]
local lease_ms = ARGV[3]
local max_writes = tonumber(ARGV[4])
local max_bytes = tonumber(ARGV[5])
--- @include read_head
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local due_ms = redis.call('ZSCORE', ready_key, lane)
-- A lease that has not expired is a due time in the future: one comparison covers both.
if not due_ms or tonumber(due_ms) > now_ms then
  -- A repeat of a claim that took effect must still be answered with its jobs.
  if not due_ms or redis.call('HGET', lane_key, 'lease') ~= token then
    return nil
  end
end

redis.call('HSET', lane_key, 'lease', token)
redis.call('HINCRBY', lane_key, 'claims', 1)
redis.call('ZADD', ready_key, 'XX', string.format('%.0f', now_ms + lease_ms), lane)
return {redis.call('GET', run_alias_key) or '', read_head()}
