#!lua flags=allow-oom
-- Write an outcome down for the writes at the head of a lane, and read the next ones.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes        KEYS[3] zset  ready
-- KEYS[4] list  settled       KEYS[5] hash  dead          KEYS[6] zset  letters
-- KEYS[7] list  attempts      KEYS[8] hash  held          KEYS[9] zset  oldest
-- KEYS[10] zset  writers
-- ARGV[1] lane                ARGV[2] lease token         ARGV[3] lease in ms
-- ARGV[4] most writes         ARGV[5] most bytes
-- ARGV[6] settled position that the claim started from    ARGV[7] how many writes are settled (0: only renew)
-- ARGV[8] outcome record      ARGV[9] retention in ms
-- ARGV[10] '1' to note that the first write will now be sent alone
-- ARGV[11] '1' if they are dead-lettered because upstream denies them, which it may go on to do
-- ARGV[12] how many writes were refused together, '0' if none      ARGV[13] what came of that attempt
-- ARGV[14] how many clients the settled writes are from
-- ARGV[15...] for each of these, client and bytes; then for each write that is dead-lettered: its field, its dead letter, and
-- its line in the index. The time of dead_lettering (13 digits) is put before letter and line.
--
-- Returns 'lost' if the lease is another's, 'empty' if nothing is left, else as claim.
--- @include read_head
--- @include note_attempt
local state = redis.call('HMGET', KEYS[1], 'lease', 'settled', 'tried', 'claims', 'broke')
if state[1] ~= ARGV[2] then
  return 'lost'
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local count = tonumber(ARGV[7])

local function give_back(client, bytes)
  redis.call('HINCRBY', KEYS[1], 'bytes', -bytes)
  redis.call('HINCRBY', KEYS[8], 'bytes', -bytes)
  if redis.call('HINCRBY', KEYS[8], 'of:' .. client, -bytes) <= 0 then
    redis.call('HDEL', KEYS[8], 'of:' .. client)
  end
end

local function dead_letter(field, letter, line)
  local at = string.format('%013.0f', now)
  redis.call('HSET', KEYS[5], field, at .. letter)
  redis.call('ZADD', KEYS[6], 0, at .. line)
  redis.call('HINCRBY', KEYS[8], 'bytes', #letter)
end

local function forgive(last)
  redis.call('HSET', KEYS[1], 'attempts', 0)
  redis.call('HDEL', KEYS[1], 'failure', 'alone', 'broke_alone', 'broke_since')
  if ARGV[11] ~= '1' then
    redis.call('HDEL', KEYS[1], 'denied_since')
  end
  -- Claims that ended in a crash, and calls on which upstream failed, are forgiven one by one: batches grow again
  -- only step by step.
  if tonumber(state[4]) > 1 then
    redis.call('HINCRBY', KEYS[1], 'claims', -1)
  end
  if state[5] and redis.call('HINCRBY', KEYS[1], 'broke', -1) <= 0 then
    redis.call('HDEL', KEYS[1], 'broke')
  end
  if state[3] and last >= tonumber(state[3]) then
    redis.call('HDEL', KEYS[1], 'tried')
    redis.call('DEL', KEYS[7])
  end
end

local function log(last)
  -- A record is: position of the last write (16 digits), time (13 digits), outcome.
  redis.call('RPUSH', KEYS[4], string.format('%016.0f%013.0f', last, now) .. ARGV[8])
  local horizon = now - ARGV[9]
  for _ = 1, 4 do
    -- Several may expire for each one that is added, so a busy lane's log never outgrows its retention.
    local oldest = redis.call('LINDEX', KEYS[4], 0)
    if tonumber(string.sub(oldest, 17, 29)) >= horizon then break end
    redis.call('LPOP', KEYS[4])
  end
end

-- A repeat finds the position already moved and must not move it again.
local moved = count > 0 and state[2] == ARGV[6]
if moved then
  redis.call('LTRIM', KEYS[2], count, -1)
  local last = redis.call('HINCRBY', KEYS[1], 'settled', count)
  forgive(last)
  log(last)
  local letters = 15 + 2 * ARGV[14]
  for i = 15, letters - 1, 2 do
    give_back(ARGV[i], ARGV[i + 1])
  end
  for i = letters, #ARGV, 3 do
    dead_letter(ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
end

if redis.call('EXISTS', KEYS[2]) == 0 then
  for writer in string.gmatch(redis.call('HGET', KEYS[1], 'writers') or '', '[^\n]+') do
    redis.call('ZREM', KEYS[10], writer .. '\n' .. ARGV[1])
  end
  redis.call('ZREM', KEYS[3], ARGV[1])
  redis.call('ZREM', KEYS[9], ARGV[1])
  redis.call('HDEL', KEYS[1], 'lease', 'frozen', 'claims', 'alone', 'bytes', 'broke', 'denied_since', 'writers')
  redis.call('PEXPIRE', KEYS[1], ARGV[9])
  redis.call('PEXPIRE', KEYS[4], ARGV[9])
  return 'empty'
end
if ARGV[12] ~= '0' then
  note_attempt(KEYS[1], KEYS[7], tonumber(ARGV[12]), now, ARGV[13])
end
redis.call('ZADD', KEYS[3], 'XX', string.format('%.0f', now + ARGV[3]), ARGV[1])
local head = read_head(KEYS, KEYS[9], ARGV[1], ARGV[4], ARGV[5])
if ARGV[10] == '1' then
  -- Only after reading: it is for the next claim to know, if this one does not live to settle the write.
  redis.call('HSET', KEYS[1], 'alone', 1)
end
return head
