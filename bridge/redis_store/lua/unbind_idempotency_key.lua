#!lua flags=allow-oom
-- Unbind an idempotency key from its request, if it is still bound to this one.
--
-- KEYS[1] string  the fingerprint of the request that the key is bound to
-- ARGV[1] fingerprint (16 bytes)
--
-- Returns 1, or 0 if the key is bound to another request, or to none.
local guard_key = KEYS[1]
local fingerprint = ARGV[1]

if redis.call('GET', guard_key) ~= fingerprint then
  return 0
end
return redis.call('DEL', guard_key)
