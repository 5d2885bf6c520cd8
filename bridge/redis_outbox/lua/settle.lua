-- Write an outcome down for the writes at the head of a lane, and read the next ones.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes        KEYS[3] zset  ready
-- KEYS[4] list  settled       KEYS[5] hash  dead
-- ARGV[1] lane                ARGV[2] lease token         ARGV[3] lease in ms
-- ARGV[4] most writes         ARGV[5] most bytes
-- ARGV[6] settled position that the claim started from    ARGV[7] how many writes are settled (0: only renew)
-- ARGV[8] outcome record      ARGV[9] retention in ms
-- ARGV[10] '1' to note that the first write will now be sent alone
-- ARGV[11...] for each settled write its field and dead letter, or nothing; the time of burial (13 digits) is put
-- before each letter
--
-- Returns 'lost' if the lease is another's, 'empty' if nothing is left, else as claim.
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[2] then
  return 'lost'
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local count = tonumber(ARGV[7])
-- A repeat finds the position already moved and must not move it again.
if count > 0 and redis.call('HGET', KEYS[1], 'settled') == ARGV[6] then
  redis.call('LTRIM', KEYS[2], count, -1)
  local last = redis.call('HINCRBY', KEYS[1], 'settled', count)
  redis.call('HSET', KEYS[1], 'attempts', 0)
  redis.call('HDEL', KEYS[1], 'failure', 'alone')
  -- Claims that ended in a crash are forgiven one by one: after a crash, batches grow again only step by step.
  if tonumber(redis.call('HGET', KEYS[1], 'claims')) > 1 then
    redis.call('HINCRBY', KEYS[1], 'claims', -1)
  end
  -- A record is: position of the last write (16 digits), time (13 digits), outcome.
  redis.call('RPUSH', KEYS[4], string.format('%016.0f%013.0f', last, now) .. ARGV[8])
  for i = 11, #ARGV, 2 do
    redis.call('HSET', KEYS[5], ARGV[i], string.format('%013.0f', now) .. ARGV[i + 1])
  end
  local horizon = now - ARGV[9]
  for _ = 1, 4 do
    -- Two may expire for each one that is added, so a busy lane's log never outgrows its retention.
    local oldest = redis.call('LINDEX', KEYS[4], 0)
    if tonumber(string.sub(oldest, 17, 29)) >= horizon then break end
    redis.call('LPOP', KEYS[4])
  end
end

if redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('HDEL', KEYS[1], 'lease', 'frozen', 'claims', 'alone')
  redis.call('PEXPIRE', KEYS[1], ARGV[9])
  redis.call('PEXPIRE', KEYS[4], ARGV[9])
  return 'empty'
end
redis.call('ZADD', KEYS[3], 'XX', string.format('%.0f', now + ARGV[3]), ARGV[1])
local head = read_head(KEYS, ARGV[4], ARGV[5])
if ARGV[10] == '1' then
  -- Only after reading: it is for the next claim to know, if this one does not live to settle the write.
  redis.call('HSET', KEYS[1], 'alone', 1)
end
return head
