#!lua flags=allow-oom
-- Take a dead letter back into its lane, at the end of it, as a new write.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes
-- KEYS[3] zset  ready         KEYS[4] zset  oldest        KEYS[5] list  settled
-- KEYS[6] hash  held          KEYS[7] zset  writers       KEYS[8] hash  dead
-- KEYS[9] zset  letters       KEYS[10] string  what became of this job
-- KEYS[11] string  the same for the job that it replays, if any
-- ARGV[1] lane                ARGV[2] accept id (8 bytes)
-- ARGV[3] client              ARGV[4] record              ARGV[5] field of the letter
-- ARGV[6] the letter's line in the index                  ARGV[7] how long it is remembered what became of it, in ms
--
-- Returns {position of the write, time in ms}, or nil if there is no such letter (any more).
--- @include read_usage
--- @include append
local letter = redis.call('HGET', KEYS[8], ARGV[5])
if not letter then
  return nil
end
redis.call('HDEL', KEYS[8], ARGV[5])
redis.call('HINCRBY', KEYS[6], 'bytes', 13 - #letter)
local first, now = append(KEYS, ARGV[1], ARGV[2], ARGV[3], {ARGV[4]}, 21 + #ARGV[4], weigh(KEYS, ARGV[3]))
redis.call('ZREM', KEYS[9], ARGV[6])
redis.call('SET', KEYS[10], 'as:' .. first, 'PX', ARGV[7])
redis.call('SET', KEYS[11], 'as:' .. first, 'PX', ARGV[7])
return {first, now}
