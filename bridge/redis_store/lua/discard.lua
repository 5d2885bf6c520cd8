#!lua flags=allow-oom
-- Remove a dead letter for good.
--
-- KEYS[1] hash  held          KEYS[2] hash  dead          KEYS[3] zset  letters
-- KEYS[4] string  fate of this job                        KEYS[5] string  fate of the job that it replays, if any
-- ARGV[1] field of the letter                             ARGV[2] the letter's line in the index
-- ARGV[3] TTL of the fates, in ms
--
-- Returns 1, or 0 if there is no such letter (any more).
local held_key = KEYS[1]
local dead_key = KEYS[2]
local index_key = KEYS[3]
local fate_key = KEYS[4]
local origin_fate_key = KEYS[5]
local field = ARGV[1]
local index_line = ARGV[2]
local fate_ttl_ms = ARGV[3]
-- The digits of the time before a letter.
local stamp_bytes = 13

--- @include adjust_held
local letter = redis.call('HGET', dead_key, field)
if not letter then
  return 0
end
redis.call('HDEL', dead_key, field)
redis.call('ZREM', index_key, index_line)
-- The partition's `bytes` count a letter without its time.
adjust_held(stamp_bytes - #letter, 0)
local time = redis.call('TIME')
local fate = 'discarded:' .. string.format('%013.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('SET', fate_key, fate, 'PX', fate_ttl_ms)
redis.call('SET', origin_fate_key, fate, 'PX', fate_ttl_ms)
return 1
