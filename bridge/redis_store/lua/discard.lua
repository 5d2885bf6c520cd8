#!lua flags=allow-oom
-- Remove a dead letter for good.
--
-- KEYS[1] hash  held          KEYS[2] hash  dead          KEYS[3] zset  letters
-- KEYS[4] string  what became of this job                 KEYS[5] string  the same for the job that it replays, if any
-- ARGV[1] field of the letter                             ARGV[2] the letter's line in the index
-- ARGV[3] how long it is remembered what became of it, in ms
--
-- Returns 1, or 0 if there is no such letter (any more).
local letter = redis.call('HGET', KEYS[2], ARGV[1])
if not letter then
  return 0
end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('HINCRBY', KEYS[1], 'bytes', 13 - #letter)
local t = redis.call('TIME')
local fate = 'discarded:' .. string.format('%013.0f', t[1] * 1000 + math.floor(t[2] / 1000))
redis.call('SET', KEYS[4], fate, 'PX', ARGV[3])
redis.call('SET', KEYS[5], fate, 'PX', ARGV[3])
return 1
