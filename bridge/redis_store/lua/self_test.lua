-- Try each command that the other scripts use, on keys that are deleted afterwards.
--
-- KEYS[1] hash    KEYS[2] list    KEYS[3] zset    KEYS[4] string
-- ARGV[1] TTL of the keys if the script is interrupted, in ms
--
-- Returns each command that is refused: '<command>: <reason>'.
local hash = KEYS[1]
local list = KEYS[2]
local zset = KEYS[3]
local text = KEYS[4]
local ttl_ms = ARGV[1]
local refused = {}

local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    refused[#refused + 1] = select(1, ...) .. ': ' .. answer.err
  end
end

try('TIME')
try('SET', text, '1', 'PX', ttl_ms)
try('GET', text)
try('EXISTS', text)
try('HSET', hash, 'a', '1')
try('EXPIRE', hash, 60)
try('PEXPIRE', hash, ttl_ms)
try('HSETNX', hash, 'b', '1')
try('HINCRBY', hash, 'a', 1)
try('HGET', hash, 'a')
try('HMGET', hash, 'a', 'b')
try('HGETALL', hash)
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
try('ZCARD', zset)
try('ZCOUNT', zset, '-inf', '+inf')
try('ZRANGE', zset, 0, -1)
try('ZREVRANGE', zset, 0, -1)
try('ZREM', zset, 'a')
try('ZREMRANGEBYRANK', zset, 1, -1)
try('ZREMRANGEBYSCORE', zset, '-inf', '+inf')
try('DEL', hash, list, zset, text)
return refused
