#!lua flags=allow-oom
-- Replace or delete a field of a hash if it still has the value that was read.
--
-- KEYS[1] hash  clients, or keys of clients
-- ARGV[1] field     ARGV[2] the value that was read; empty: the field must not exist
-- ARGV[3] the new value; empty: the field is deleted
--
-- Returns 1, or 0 if the field has another value.
local hash, field, expected, replacement = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

if (redis.call('HGET', hash, field) or '') ~= expected then
  return 0
end
if replacement == '' then
  redis.call('HDEL', hash, field)
else
  redis.call('HSET', hash, field, replacement)
end
return 1
