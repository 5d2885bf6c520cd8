#!lua flags=allow-oom
-- Record an outcome for the writes at the head of a lane, and read the next ones.
--
-- KEYS[1] hash  lane          KEYS[2] list  writes        KEYS[3] zset  ready
-- KEYS[4] list  settled       KEYS[5] hash  dead          KEYS[6] zset  letters
-- KEYS[7] list  attempts      KEYS[8] hash  held          KEYS[9] zset  oldest
-- KEYS[10] zset  writers       KEYS[11] zset  deliveries
-- ARGV[1] lane                ARGV[2] lease token         ARGV[3] lease in ms
-- ARGV[4] max writes          ARGV[5] max bytes
-- ARGV[6] settled position that the claim started from    ARGV[7] how many writes are settled (0: only renew)
-- ARGV[8] outcome record      ARGV[9] retention in ms
-- ARGV[10] '1' to note that the first write will now be sent alone
-- ARGV[11] '1' if they are dead-lettered because upstream denies them, which may continue
-- ARGV[12] how many writes were refused together, '0' if none      ARGV[13] record of that attempt, or ''
-- ARGV[14] how many clients the settled writes are from
-- ARGV[15...] for each of these, client and bytes; then for each write that is dead-lettered: its field, its dead
-- letter, and its line in the index. The time of dead-lettering (13 digits) is put before letter and line.
--
-- Returns 'lost' if another claim holds the lease, 'empty' if no write is left, else what claim.lua returns last: the
-- state of the lane and its next entries.
local lane_key = KEYS[1]
local writes_key = KEYS[2]
local ready_key = KEYS[3]
local settled_key = KEYS[4]
local dead_key = KEYS[5]
local index_key = KEYS[6]
local attempts_key = KEYS[7]
local held_key = KEYS[8]
local oldest_key = KEYS[9]
local writers_key = KEYS[10]
local deliveries_key = KEYS[11]
local lane = ARGV[1]
local token = ARGV[2]
local lease_ms = ARGV[3]
local max_writes = tonumber(ARGV[4])
local max_bytes = tonumber(ARGV[5])
local claimed_settled = ARGV[6]
local settled_count = tonumber(ARGV[7])
local outcome_record = ARGV[8]
local retention_ms = ARGV[9]
local sends_alone = ARGV[10] == '1'
local is_denied = ARGV[11] == '1'
local refused_count = tonumber(ARGV[12])
local refused_record = ARGV[13]
local client_count = tonumber(ARGV[14])
local first_client = 15
local first_letter = first_client + 2 * client_count
-- bridge/redis_store/read_marks.py relies on this number, as REMEMBERED_CLIENTS.
local remembered_clients = 16
-- Expired records that one settlement removes. It adds one, so a busy lane's log never outgrows its retention.
local max_expired_records = 4
--- @include read_head
--- @include note_attempt
--- @include adjust_held
local state = redis.call('HMGET', lane_key, 'lease', 'settled', 'tried', 'claims', 'broke')
local lease, settled, tried, claims, broke = state[1], state[2], tonumber(state[3]), tonumber(state[4]), state[5]
if lease ~= token then
  return 'lost'
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function subtract_pending(client, bytes)
  redis.call('HINCRBY', lane_key, 'bytes', -bytes)
  if redis.call('HINCRBY', held_key, 'of:' .. client, -bytes) <= 0 then
    redis.call('HDEL', held_key, 'of:' .. client)
  end
end

local function note_delivery(client)
  -- Numbers, no times: two settlements may fall into one millisecond, and the later one needs the higher score.
  local last_number = redis.call('ZREVRANGE', deliveries_key, 0, 0, 'WITHSCORES')[2] or '0'
  redis.call('ZADD', deliveries_key, string.format('%.0f', tonumber(last_number) + 1), client)
  redis.call('ZREMRANGEBYRANK', deliveries_key, 0, -remembered_clients - 1)
end

local function add_dead_letter(field, letter, index_line)
  local stamp = string.format('%013.0f', now_ms)
  redis.call('HSET', dead_key, field, stamp .. letter)
  redis.call('ZADD', index_key, 0, stamp .. index_line)
end

local function reset_failures(last_settled)
  redis.call('HSET', lane_key, 'attempts', 0)
  redis.call('HDEL', lane_key, 'failure', 'alone', 'broke_alone', 'broke_since')
  if not is_denied then
    redis.call('HDEL', lane_key, 'denied_since')
  end
  -- Claims that ended in a crash, and calls on which upstream failed, are forgiven one by one: batches grow again
  -- only step by step.
  if claims > 1 then
    redis.call('HINCRBY', lane_key, 'claims', -1)
  end
  if broke and redis.call('HINCRBY', lane_key, 'broke', -1) <= 0 then
    redis.call('HDEL', lane_key, 'broke')
  end
  if tried and last_settled >= tried then
    redis.call('HDEL', lane_key, 'tried')
    redis.call('DEL', attempts_key)
  end
end

local function log_outcome(last_settled)
  -- A record is: position of the last write (16 digits), time (13 digits), outcome.
  redis.call('RPUSH', settled_key, string.format('%016.0f%013.0f', last_settled, now_ms) .. outcome_record)
  local horizon_ms = now_ms - retention_ms
  for _ = 1, max_expired_records do
    local oldest_record = redis.call('LINDEX', settled_key, 0)
    if tonumber(string.sub(oldest_record, 17, 29)) >= horizon_ms then break end
    redis.call('LPOP', settled_key)
  end
end

-- A repeat finds the position already moved and must not move it again.
if settled_count > 0 and settled == claimed_settled then
  redis.call('LTRIM', writes_key, settled_count, -1)
  local last_settled = redis.call('HINCRBY', lane_key, 'settled', settled_count)
  reset_failures(last_settled)
  log_outcome(last_settled)
  local byte_delta = 0
  for i = first_client, first_letter - 1, 2 do
    subtract_pending(ARGV[i], ARGV[i + 1])
    byte_delta = byte_delta - ARGV[i + 1]
    note_delivery(ARGV[i])
  end
  for i = first_letter, #ARGV, 3 do
    add_dead_letter(ARGV[i], ARGV[i + 1], ARGV[i + 2])
    byte_delta = byte_delta + #ARGV[i + 1]
  end
  adjust_held(byte_delta, -settled_count)
end

if redis.call('EXISTS', writes_key) == 0 then
  for writer in string.gmatch(redis.call('HGET', lane_key, 'writers') or '', '[^\n]+') do
    redis.call('ZREM', writers_key, writer .. '\n' .. lane)
  end
  redis.call('ZREM', ready_key, lane)
  redis.call('ZREM', oldest_key, lane)
  redis.call('HDEL', lane_key, 'lease', 'frozen', 'claims', 'alone', 'bytes', 'broke', 'denied_since', 'writers')
  redis.call('PEXPIRE', lane_key, retention_ms)
  redis.call('PEXPIRE', settled_key, retention_ms)
  return 'empty'
end
if refused_count ~= 0 then
  note_attempt(refused_count, now_ms, refused_record)
end
redis.call('ZADD', ready_key, 'XX', string.format('%.0f', now_ms + lease_ms), lane)
local head = read_head()
if sends_alone then
  -- After reading the head: this claim knows it already. The next one must know it if this worker crashes.
  redis.call('HSET', lane_key, 'alone', 1)
end
return head
