-- Charges all quotas if each has room, and none otherwise; or settles each; or makes all whole.
--
-- A bucket is that of the other script. A window is 16 bytes: tokens that are used, and when the window ends, in
-- microseconds since 1970. Which window it is, is decided by the clock of this server.
--
-- KEYS: one for each quota, all in one slot.
-- ARGV[1]: the time in microseconds, for tests; the server's own if it is empty.
-- ARGV[2]: `take`, `settle` or `reset`.
-- Then seven for each quota. `b`, for a bucket in nanoseconds: what it takes, what it holds, the step in which
-- amounts of this size are exact, and three that do not matter. `f`, for windows of a fixed length in tokens:
-- what it takes, the limit, the length in microseconds, two that do not matter, and what is settled: the end of
-- its window. `c`, for windows of the calendar: what it takes, the limit, the begin of a window, its end, the end
-- of the next, and the end of the one that is settled.
--
-- The answer: 0, or the first quota that was refused; then for each what is used, when its window ends, and in how
-- many microseconds.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local mode = ARGV[2]

local function number(i, index)
  return tonumber(ARGV[i * 7 - 4 + index])
end

local function is_bucket(i)
  return ARGV[i * 7 - 4] == 'b'
end

local function window_end(i)
  local one = number(i, 3)
  if ARGV[i * 7 - 4] == 'f' then
    return now - now % one + one
  end
  if now < one then
    return one
  end
  if now < number(i, 4) then
    return number(i, 4)
  end
  return number(i, 5)
end

local held = redis.call('MGET', unpack(KEYS))
local before, used, at = {}, {}, {}
for i = 1, #KEYS do
  local key = KEYS[i]
  if not at[key] then
    local level, seen = 0, 0
    if held[i] and #held[i] == 16 then
      level, seen = struct.unpack('<dd', held[i])
    end
    if is_bucket(i) then
      if seen < now then
        level, seen = math.max(level - (now - seen) * 1000, 0), now
      end
      local step = number(i, 3)
      if step > 1 then
        level = math.ceil(level / step) * step
      end
    else
      -- The clock of this server may have been set back: a later window is the one that counts.
      local ending = window_end(i)
      if seen < ending then
        level, seen = 0, ending
      end
    end
    before[key], used[key], at[key] = level, level, seen
  end
end

-- What is told of each: what is used after it, or, if one is refused, before all.
local refused, told = 0, {}
if mode == 'take' then
  for i = 1, #KEYS do
    told[i] = used[KEYS[i]]
    local level = told[i] + number(i, 1)
    if level > number(i, 2) then
      refused = i
      break
    end
    used[KEYS[i]], told[i] = level, level
  end
  if refused > 0 then
    told = { [refused] = told[refused] }
    used = {}
    for key, level in pairs(before) do
      used[key] = level
    end
  end
elseif mode == 'settle' then
  for i = 1, #KEYS do
    local key = KEYS[i]
    if is_bucket(i) or at[key] == number(i, 6) then
      local most = math.max(number(i, 2), used[key])
      used[key] = math.max(math.min(used[key] + number(i, 1), most), 0)
    end
  end
else
  for key in pairs(used) do
    used[key] = 0
  end
end

local answer = { refused }
for i = 1, #KEYS do
  local key = KEYS[i]
  answer[3 * i - 1] = told[i] or before[key]
  answer[3 * i], answer[3 * i + 1] = 0, 0
  if not is_bucket(i) then
    answer[3 * i], answer[3 * i + 1] = at[key], at[key] - now
  end
end

for i = 1, #KEYS do
  local key = KEYS[i]
  local level = used[key]
  if level then
    if level > 0 then
      local lives = (at[key] - now) / 1000
      if is_bucket(i) then
        lives = lives + level / 1000000
      end
      -- A second longer than it must: clocks are read at different moments.
      lives = math.max(math.ceil(lives), 0) + 1000
      redis.call('SET', key, struct.pack('<dd', level, at[key]), 'PX', string.format('%.0f', lives))
    elseif held[i] then
      redis.call('DEL', key)
    end
    used[key] = nil
  end
end
return answer
