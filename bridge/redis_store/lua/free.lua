#!lua flags=allow-oom
-- Forget which request an idempotency key stands for, if it still stands for this one.
--
-- KEYS[1] string  the fingerprint of the request that the key stands for
-- ARGV[1] fingerprint (16 bytes)
--
-- Returns 1, or 0 if the key stands for another request, or for none.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
