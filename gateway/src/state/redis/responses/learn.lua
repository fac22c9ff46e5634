-- The time in microseconds, the generation of now, the one below which nothing holds, and what was purged since one.
--
-- KEYS: what was purged. ARGV: since which generation, 0 if none is known.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
if not redis.call('ZSCORE', KEYS[1], 'f') then
  redis.call('ZADD', KEYS[1], now, 'f', now, 'g')
end
local floor = redis.call('ZSCORE', KEYS[1], 'f')
local answer = { now, redis.call('ZSCORE', KEYS[1], 'g'), floor }
if tonumber(ARGV[1]) >= tonumber(floor) then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf')) do
    answer[#answer + 1] = member
  end
end
return answer
