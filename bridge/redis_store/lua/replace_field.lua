#!lua flags=allow-oom
-- Replace or delete a field of a hash if it still has the value that was read.
--
-- KEYS[1] hash  clients, or keys of clients
-- ARGV[1] field     ARGV[2] the value that was read; empty: the field must not exist
-- ARGV[3] the new value; empty: the field is deleted
--
-- Returns 1, or 0 if the field has another value.
local hash_key = KEYS[1]
local field = ARGV[1]
local expected = ARGV[2]
local replacement = ARGV[3]

if (redis.call('HGET', hash_key, field) or '') ~= expected then
  return 0
end
if replacement == '' then
  redis.call('HDEL', hash_key, field)
else
  redis.call('HSET', hash_key, field, replacement)
end
return 1
