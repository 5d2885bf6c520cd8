#!lua flags=allow-oom
-- Move a dead letter to the end of its lane, as a new write.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes
-- KEYS[3] zset  ready         KEYS[4] zset  oldest        KEYS[5] list  settled
-- KEYS[6] hash  held          KEYS[7] zset  writers       KEYS[8] hash  dead
-- KEYS[9] zset  letters       KEYS[10] string  fate of this job
-- KEYS[11] string  fate of the job that it replays, if any
-- ARGV[1] lane                ARGV[2] accept id (8 bytes)
-- ARGV[3] client              ARGV[4] record              ARGV[5] field of the letter
-- ARGV[6] the letter's line in the index                  ARGV[7] TTL of the fates, in ms
--
-- Returns {position of the write, time in ms}, or nil if there is no such letter (any more).
local lane_key = KEYS[1]
local writes_key = KEYS[2]
local ready_key = KEYS[3]
local oldest_key = KEYS[4]
local settled_key = KEYS[5]
local held_key = KEYS[6]
local writers_key = KEYS[7]
local dead_key = KEYS[8]
local index_key = KEYS[9]
local fate_key = KEYS[10]
local origin_fate_key = KEYS[11]
local lane = ARGV[1]
local accept_id = ARGV[2]
local client = ARGV[3]
local record = ARGV[4]
local field = ARGV[5]
local index_line = ARGV[6]
local fate_ttl_ms = ARGV[7]
-- The digits of the time before a letter.
local stamp_bytes = 13
-- An entry is a record behind the time (13 digits) and the accept id (8 bytes).
local entry_prefix_bytes = 21
--- @include read_usage
--- @include append
--- @include adjust_held
local letter = redis.call('HGET', dead_key, field)
if not letter then
  return nil
end
redis.call('HDEL', dead_key, field)
-- The partition's `bytes` count a letter without its time.
adjust_held(stamp_bytes - #letter, 0)
local position, now_ms = append(client, {accept_id .. record}, entry_prefix_bytes + #record, read_usage(client))
redis.call('ZREM', index_key, index_line)
redis.call('SET', fate_key, 'as:' .. position, 'PX', fate_ttl_ms)
redis.call('SET', origin_fate_key, 'as:' .. position, 'PX', fate_ttl_ms)
return {position, now_ms}
