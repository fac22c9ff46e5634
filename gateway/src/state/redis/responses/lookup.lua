-- The values under some keys that hold. Others are removed.
--
-- KEYS: what was purged, and the keys. ARGV: the names of these among what was purged.

local found = {}
local floor = tonumber(redis.call('ZSCORE', KEYS[1], 'f') or '')
if not floor then
  return found
end
for i = 2, #KEYS do
  local all = redis.call('HGETALL', KEYS[i])
  for j = 1, #all, 2 do
    if holds(all[j + 1], ARGV[i - 1], floor) then
      found[#found + 1] = all[j + 1]
    else
      redis.call('HDEL', KEYS[i], all[j])
    end
  end
end
return found
