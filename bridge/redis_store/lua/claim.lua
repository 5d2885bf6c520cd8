#!lua flags=allow-oom
-- Claim a lane that is due, and read the writes at its head.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes        KEYS[3] zset  ready
-- KEYS[4] zset  oldest        KEYS[5] string  the lane of the run's name
-- ARGV[1] lane                ARGV[2] lease token         ARGV[3] lease in ms
-- ARGV[4] most writes         ARGV[5] most bytes
--
-- Returns nil if the lane is empty, another's, or not yet due; else the lane of the run's name or '', and
-- {settled position, failed attempts, claims, '1' if the head was last sent alone else '0', '1' if an earlier claim
-- had read the same writes else '0', how often upstream failed on calls from this head, how often of these on its
-- first write alone, since when (ms) or '', since when upstream has denied it (ms) or '', entry, entry, ...}.
--- @include read_head
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local due = redis.call('ZSCORE', KEYS[3], ARGV[1])
-- A lease that has not expired is a due time in the future: one comparison answers for both.
if not due or tonumber(due) > now then
  -- A repeat of a claim that took effect must still be answered with its jobs.
  if not due or redis.call('HGET', KEYS[1], 'lease') ~= ARGV[2] then
    return nil
  end
end

redis.call('HSET', KEYS[1], 'lease', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'claims', 1)
redis.call('ZADD', KEYS[3], 'XX', string.format('%.0f', now + ARGV[3]), ARGV[1])
return {redis.call('GET', KEYS[5]) or '', read_head(KEYS, KEYS[4], ARGV[1], ARGV[4], ARGV[5])}
