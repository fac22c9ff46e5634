-- Stores a value in place of the one of its variant, if it holds.
--
-- KEYS: what was purged, and the key. ARGV: its name among what was purged, the variant, the value, the time in
-- milliseconds, and how many variants there may be.

local floor = tonumber(redis.call('ZSCORE', KEYS[1], 'f') or '')
if not floor or not holds(ARGV[3], ARGV[1], floor) then
  return 0
end
local is_new = redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0
if is_new and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[5]) then
  redis.call('DEL', KEYS[2])
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return 1
