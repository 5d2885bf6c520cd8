#!lua flags=allow-oom
-- Note how far a drain is, or that it is over.
--
-- KEYS[1] hash  drain         KEYS[2] zset  active drains
-- ARGV[1] its id              ARGV[2] state               ARGV[3] how long a drain that is over is kept, in ms
-- ARGV[4...] fields and values
--
-- Returns 1, or 0 if it does not run any more: it was cancelled, and what its worker has done since is not counted.
if redis.call('HGET', KEYS[1], 'state') ~= 'running' then
  return 0
end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
for i = 4, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
if ARGV[2] ~= 'running' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
