#!lua flags=allow-oom
-- Release a lane, due again after a delay.
--
-- KEYS[1] hash  lane          KEYS[2] zset  ready         KEYS[3] list  attempts
-- ARGV[1] lane                ARGV[2] lease token         ARGV[3] delay in ms
-- ARGV[4] reason why the writes were not delivered, or ''  ARGV[5] how many writes were sent and not delivered
-- ARGV[6] '1' to thaw the writes that the claim froze      ARGV[7] record of the attempt, or ''
-- ARGV[8] 'failed' if upstream failed on this very call, 'silent' if it did not answer, 'denied' if it does not allow
-- it, else ''
--
-- Returns 1, or 0 if another claim holds the lease.
local lane_key = KEYS[1]
local ready_key = KEYS[2]
local attempts_key = KEYS[3]
local lane = ARGV[1]
local token = ARGV[2]
local delay_ms = ARGV[3]
local failure = ARGV[4]
local sent_count = tonumber(ARGV[5])
local thaws = ARGV[6] == '1'
local attempt_record = ARGV[7]
local failure_kind = ARGV[8]
-- Enough to send the smallest call; a higher number would only delay the return to large ones.
local max_broke = 12
--- @include note_attempt
if redis.call('HGET', lane_key, 'lease') ~= token then
  return 0
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HDEL', lane_key, 'lease')
redis.call('ZADD', ready_key, 'XX', string.format('%.0f', now_ms + delay_ms), lane)
-- This claim has ended properly; crashes before it stay noted.
redis.call('HINCRBY', lane_key, 'claims', -1)
if failure ~= '' then
  redis.call('HSET', lane_key, 'failure', failure)
end
if sent_count ~= 0 then
  note_attempt(sent_count, now_ms, attempt_record)
end
if thaws then
  redis.call('HDEL', lane_key, 'frozen')
end
if failure_kind == 'denied' then
  redis.call('HSETNX', lane_key, 'denied_since', string.format('%.0f', now_ms))
elseif failure_kind ~= '' and redis.call('HINCRBY', lane_key, 'broke', 1) > max_broke then
  redis.call('HSET', lane_key, 'broke', max_broke)
end
if failure_kind == 'failed' and sent_count == 1 then
  redis.call('HINCRBY', lane_key, 'broke_alone', 1)
  redis.call('HSETNX', lane_key, 'broke_since', string.format('%.0f', now_ms))
end
return 1
