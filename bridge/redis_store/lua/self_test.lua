-- Try each command that the other scripts use, on keys that are gone afterwards.
--
-- KEYS[1] hash    KEYS[2] list    KEYS[3] zset    KEYS[4] string
-- ARGV[1] how long the keys may last if something ends this (ms)
--
-- Returns what is refused: '<command>: <why>' each
local refused = {}

local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    refused[#refused + 1] = select(1, ...) .. ': ' .. answer.err
  end
end

local hash, list, zset, text = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
try('TIME')
try('SET', text, '1', 'PX', ARGV[1])
try('GET', text)
try('EXISTS', text)
try('HSET', hash, 'a', '1')
try('PEXPIRE', hash, ARGV[1])
try('HSETNX', hash, 'b', '1')
try('HINCRBY', hash, 'a', 1)
try('HGET', hash, 'a')
try('HMGET', hash, 'a', 'b')
try('HDEL', hash, 'a')
try('RPUSH', list, '1', '2', '3')
try('PERSIST', list)
try('LINDEX', list, 0)
try('LLEN', list)
try('LRANGE', list, 0, -1)
try('LPOP', list)
try('LTRIM', list, 1, -1)
try('ZADD', zset, 1, 'a')
try('ZSCORE', zset, 'a')
try('ZCOUNT', zset, '-inf', '+inf')
try('ZRANGE', zset, 0, -1)
try('ZREM', zset, 'a')
try('DEL', hash, list, zset, text)
return refused
