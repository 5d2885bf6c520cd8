#!lua flags=allow-oom
-- Give a lane back, due again after a while.
--
-- KEYS[1] hash  lane          KEYS[2] zset  ready         KEYS[3] list  attempts
-- ARGV[1] lane                ARGV[2] lease token         ARGV[3] delay in ms
-- ARGV[4] why the writes did not get through, or ''        ARGV[5] how many writes were sent in vain
-- ARGV[6] '1' to thaw what the claim froze                 ARGV[7] what came of the attempt, if there was one
-- ARGV[8] 'failed' if upstream failed on this very call, 'silent' if it did not answer, 'denied' if it does not allow
-- it, else ''
--
-- Returns 1, or 0 if the lease is another's.
--- @include note_attempt
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[2] then
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HDEL', KEYS[1], 'lease')
redis.call('ZADD', KEYS[2], 'XX', string.format('%.0f', now + ARGV[3]), ARGV[1])
-- This claim has come to a proper end; crashes before it are not forgotten.
redis.call('HINCRBY', KEYS[1], 'claims', -1)
if ARGV[4] ~= '' then
  redis.call('HSET', KEYS[1], 'failure', ARGV[4])
end
if ARGV[5] ~= '0' then
  note_attempt(KEYS[1], KEYS[3], tonumber(ARGV[5]), now, ARGV[7])
end
if ARGV[6] == '1' then
  redis.call('HDEL', KEYS[1], 'frozen')
end
if ARGV[8] == 'denied' then
  redis.call('HSETNX', KEYS[1], 'denied_since', string.format('%.0f', now))
elseif ARGV[8] ~= '' and redis.call('HINCRBY', KEYS[1], 'broke', 1) > 12 then
  -- Enough to send the smallest call; more would only make the way back to large ones longer.
  redis.call('HSET', KEYS[1], 'broke', 12)
end
if ARGV[8] == 'failed' and ARGV[5] == '1' then
  redis.call('HINCRBY', KEYS[1], 'broke_alone', 1)
  redis.call('HSETNX', KEYS[1], 'broke_since', string.format('%.0f', now))
end
return 1
