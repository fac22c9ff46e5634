-- Charges all buckets if each has room, and none otherwise: the generic cell rate algorithm.
--
-- A bucket is 16 bytes: how much is used, in nanoseconds, and when that was so, in microseconds since 1970.
-- A bucket that is full is one that is not there.
--
-- `full` is put before it: a server without room for what is new. Then the answer is -1 where there is room for all
-- charges and a bucket is not there: nothing is charged.
--
-- KEYS: one for each charge, all in one slot.
-- ARGV[1]: the time in microseconds, for tests; the server's own if it is empty.
-- Then six for each charge, in nanoseconds: what it takes, what the bucket holds, the step in which amounts of
-- this size are exact, what is returned of earlier charges, and what one permit takes of as many more as may be
-- taken ahead.
--
-- The answer: 0, or the first charge that was refused; then for each charge what is used, and how many permits
-- were taken ahead.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local held = redis.call('MGET', unpack(KEYS))
local before, used, at = {}, {}, {}
for i = 1, #KEYS do
  local key, argument = KEYS[i], i * 6 - 4
  local level, seen = 0, now
  if before[key] then
    level, seen = before[key], at[key]
  elseif held[i] and #held[i] == 16 then
    level, seen = struct.unpack('<dd', held[i])
    if seen < now then
      level, seen = math.max(level - (now - seen) * 1000, 0), now
    end
  end
  local step = tonumber(ARGV[argument + 2])
  if step > 1 then
    level = math.ceil(level / step) * step
  end
  level = math.max(level - tonumber(ARGV[argument + 3]), 0)
  before[key], used[key], at[key] = level, level, seen
end

local answer, refused = { 0 }, 0
for i = 1, #KEYS do
  local key, argument = KEYS[i], i * 6 - 4
  local level = used[key]
  if level + tonumber(ARGV[argument]) > tonumber(ARGV[argument + 1]) then
    refused = i
    answer[1], answer[2 * i], answer[2 * i + 1] = i, level, 0
    break
  end
  used[key] = level + tonumber(ARGV[argument])
  answer[2 * i], answer[2 * i + 1] = used[key], 0
end

for i = 1, #KEYS do
  if full and refused == 0 and not held[i] then
    return { -1 }
  end
end

if refused > 0 then
  for i = 1, #KEYS do
    if i ~= refused then
      answer[2 * i], answer[2 * i + 1] = before[KEYS[i]], 0
    end
  end
  used = before
else
  for i = 1, #KEYS do
    local key, argument = KEYS[i], i * 6 - 4
    local permit, ahead = tonumber(ARGV[argument + 4]), tonumber(ARGV[argument + 5])
    if ahead > 0 then
      ahead = math.max(math.min(ahead, math.floor((tonumber(ARGV[argument + 1]) - used[key]) / permit)), 0)
      used[key] = used[key] + ahead * permit
      answer[2 * i], answer[2 * i + 1] = used[key], ahead
    end
  end
end

for i = 1, #KEYS do
  local key = KEYS[i]
  local level = used[key]
  if level then
    if level > 0 then
      -- A second longer than it must: clocks are read at different moments.
      local lives = math.ceil(level / 1000000 + (at[key] - now) / 1000) + 1000
      redis.call('SET', key, struct.pack('<dd', level, at[key]), 'PX', string.format('%.0f', lives))
    elseif held[i] then
      redis.call('DEL', key)
    end
    used[key] = nil
  end
end
return answer
