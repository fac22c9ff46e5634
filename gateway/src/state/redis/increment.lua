-- Adds to an integer, which lives for some time if it was not there.
--
-- KEYS: the one. ARGV: what is added, and the time in milliseconds, or nothing for ever.
-- The answer is the sum as text: a number of this language does not hold all of them.

local is_new = redis.call('EXISTS', KEYS[1]) == 0
redis.call('INCRBY', KEYS[1], ARGV[1])
if is_new and ARGV[2] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('GET', KEYS[1])
