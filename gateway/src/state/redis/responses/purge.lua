-- Purges: from a new generation on, nothing of an older one holds that belongs to one of these, or nothing at all.
--
-- KEYS: what was purged, and keys to remove. ARGV: 'all' or 'some', how much is remembered of what was purged, and what
-- is. The answer is the generation before, 0 if there was none, and the new one.

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local before = redis.call('ZSCORE', KEYS[1], 'g')
local generation = now
if before then
  generation = math.max(now, tonumber(before) + 1)
end
generation = string.format('%.0f', generation)
if ARGV[1] == 'all' or not before then
  redis.call('DEL', KEYS[1])
  redis.call('ZADD', KEYS[1], generation, 'f', generation, 'g')
else
  for i = 3, #ARGV do
    redis.call('ZADD', KEYS[1], generation, ARGV[i])
  end
  local over = redis.call('ZCARD', KEYS[1]) - 2 - tonumber(ARGV[2])
  if over > 0 then
    local edge = redis.call('ZRANGE', KEYS[1], over, over, 'WITHSCORES')[2]
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', edge)
    redis.call('ZADD', KEYS[1], edge, 'f')
  end
  redis.call('ZADD', KEYS[1], generation, 'g')
end
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
end
return { before or '0', generation }
