-- Notes when keys were last used: only forwards, and only of those that there are.
--
-- KEYS: the records, the last uses. ARGV: an identifier and a time, again and again.

for index = 1, #ARGV, 2 do
  local id, at = ARGV[index], tonumber(ARGV[index + 1])
  if redis.call('HEXISTS', KEYS[1], id) == 1 then
    local known = tonumber(redis.call('HGET', KEYS[2], id) or '0')
    if at > known then
      redis.call('HSET', KEYS[2], id, ARGV[index + 1])
    end
  end
end
return {'done'}
